"""phi-tui: fine-tune a language model of about a billion parameters from a terminal, and talk to it."""

__version__ = "0.1.0"
