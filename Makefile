# `make demo` masters the example track, `make studio` opens the web app, `make test` runs lint and tests; each installs
# what it needs into .venv: a musician's commands leave the developers' tools out.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
MASTERING := .venv/.installed-mastering

.PHONY: demo studio test test-fast test-all lint docs docs-test format clean

$(INSTALLED): pyproject.toml
	@echo "Installing nmjax and the developers' tools into .venv (1.9 GB; minutes, without a word) …"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@ $(MASTERING)

$(MASTERING): pyproject.toml
	@echo "Installing nmjax into .venv (0.9 GB; minutes, without a word) …"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[studio]'
	touch $@

# Masters the example with the default network.
demo: $(MASTERING)
	rm -rf runs/demo
	$(BIN)/python infer.py examples/settlers-routine.flac -o runs/demo/master.flac --plot runs/demo/eq.png --report runs/demo/report.html

# The local web app; Ctrl-C ends it.
studio: $(MASTERING)
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
	$(BIN)/python scripts/check_page_types.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/wrap_docs.py

# The site: readable without a server or a network. A warning is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	$(BIN)/python scripts/check_docs.py site site

# Runs the commands of tutorials and how-to guides.
docs-test: $(INSTALLED)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python scripts/check_docs.py run

clean:
	rm -rf .venv .pytest_cache runs/demo site
