# `make demo` masters the example track, `make studio` opens the web app, `make test` runs lint and tests; each creates
# its environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo studio test test-fast test-all lint format clean

$(INSTALLED): pyproject.toml
	@echo "Creating the environment in .venv (1 GB; a minute or more) …"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

# Masters the example with the default network.
demo: $(INSTALLED)
	rm -rf runs/demo
	$(BIN)/python infer.py examples/settlers-routine.flac -o runs/demo/master.flac --plot runs/demo/eq.png --report runs/demo/report.html

# The local web app; Ctrl-C ends it.
studio: $(INSTALLED)
	$(BIN)/python studio.py

test: lint
	$(BIN)/python -m pytest

# About a minute: folders whose tests compile little and start no program.
FAST := tests/audio tests/data tests/report tests/runtime tests/mastering/settings tests/test_config.py
test-fast: $(INSTALLED)
	$(BIN)/python -m pytest $(FAST)

test-all: lint
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright
	$(BIN)/python scripts/check_words.py

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache runs/demo
