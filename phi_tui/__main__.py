"""`python -m phi_tui` is `phi-tui`: the form in which the launcher starts a trainer of its own."""

import sys

from phi_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
