# `make demo` masters the example track, `make test` passes the tests; both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test test-all lint format clean

$(INSTALLED): pyproject.toml
	@echo "Making the environment in .venv (1 GB; a minute or more) …"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

# Masters the example with the network that comes with the program.
demo: $(INSTALLED)
	rm -rf runs/demo
	$(BIN)/python infer.py examples/settlers-routine.flac -o runs/demo/master.flac --plot runs/demo/eq.png --report runs/demo/report.html

test: lint
	$(BIN)/python -m pytest

test-all: lint
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs/demo
