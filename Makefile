# LabThings: `make demo` shows it, `make test` checks it, `make help` lists the parts.
#
# Needs make and Python >= 3.11 with its venv module; choose one with `make test PYTHON=python3.12`.
# Everything is installed into .venv, which is used again until pyproject.toml changes.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
PYTEST_ARGS ?=
# Most tests wait for a server or a browser: two sessions side by side take half of the time.
JOBS ?= 2
BENCH_ARGS ?= --json benchmarks/results/latest.json --svg benchmarks/results/latest.svg

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)

VENV_MADE := $(VENV)/.made
DEMO_INSTALLED := $(VENV)/.installed-demo
DEV_INSTALLED := $(VENV)/.installed-dev
# Clients of other makers, which judge the server in tests/conformance.
NODE := tests/conformance
NODE_INSTALLED := $(NODE)/node_modules/.installed
WOTPY_INSTALLED := $(NODE)/.venv/.installed
# The browser that visits the server in tests/e2e; another one: make test LABTHINGS_CHROMIUM=/path
CHROMIUM := $(firstword $(LABTHINGS_CHROMIUM) \
  $(shell command -v chromium || command -v chromium-browser || command -v google-chrome))

# Folders of tests/ that have a target of their own; `make test` runs them all in one session.
FOLDERS := unit contracts properties integration faults typing e2e conformance
TYPED := src $(wildcard tests/typing)

.DEFAULT_GOAL := help
.PHONY: help demo test bench soak lint types imports architecture format chromium clean $(FOLDERS)

help:
	@echo "make demo          install the demo and serve it on http://$(HOST):$(PORT)"
	@echo "make test          every check and every test, as the continuous integration runs it"
	@echo "make lint          ruff: rules and format        make format  lets ruff put it right"
	@echo "make types         mypy, strict, also as on Windows"
	@echo "make architecture  who may import whom, and how long a module may be"
	@echo "make <folder>      one folder of tests/: $(FOLDERS)"
	@echo "make chromium      install the browser that visits the server in tests/e2e"
	@echo "make bench         beside other servers, in half an hour; BENCH_ARGS=--quick for less"
	@echo "make soak          ten minutes of mixed load: does anything grow?"
	@echo "make clean         remove what was installed and what the tools left behind"

demo: $(DEMO_INSTALLED)
	$(BIN)/labthings-server --demo --host $(HOST) --port $(PORT)

# pytest comes last and once: its closing line is the last one printed, its exit code is ours.
test: lint types imports $(NODE_INSTALLED) $(WOTPY_INSTALLED) chromium
	$(PYTEST) --numprocesses $(JOBS) --dist loadfile tests

lint: $(DEV_INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(DEV_INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(DEV_INSTALLED)
	$(BIN)/mypy $(TYPED)
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 $(TYPED)

imports: $(DEV_INSTALLED)
	$(BIN)/lint-imports --no-logo

architecture: imports
	$(PYTEST) tests/unit/test_architecture.py

# The others get environments of their own, under .bench.
bench: $(DEV_INSTALLED)
	$(BIN)/python benchmarks/compare.py $(BENCH_ARGS)

soak: $(DEV_INSTALLED)
	$(BIN)/python benchmarks/soak.py

conformance: $(NODE_INSTALLED) $(WOTPY_INSTALLED)

e2e: chromium

$(FOLDERS): $(DEV_INSTALLED)
	$(PYTEST) tests/$@

$(VENV_MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "LabThings needs Python 3.11 or newer, and '$(PYTHON)' is not." >&2; \
	  echo "Install one, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "'$(PYTHON)' cannot make virtual environments: its venv package is missing." >&2; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv (or python$$version-venv)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(DEMO_INSTALLED): pyproject.toml $(VENV_MADE)
	$(PIP) install --editable '.[demo]'
	@touch $@

# The tools for development include the demo, so one installation serves both.
$(DEV_INSTALLED): pyproject.toml $(VENV_MADE)
	$(PIP) install --editable '.[dev]'
	@touch $(DEMO_INSTALLED) $@

# Without Node the tests in there are skipped, and say so; with CI=true they fail instead. Nothing
# is locked: a lock file would name the registry that happened to be used.
$(NODE_INSTALLED): $(NODE)/package.json
	@if command -v npm >/dev/null; then \
	  echo "npm install in $(NODE)"; \
	  cd $(NODE) && npm install --no-package-lock --no-audit --no-fund --loglevel=error && \
	    touch node_modules/.installed; \
	else \
	  echo "Node and its npm are not installed: no real W3C client will judge the server." >&2; \
	fi

# In an environment of its own, for what it stands on (Zenoh, MQTT, CoAP) is nothing of ours.
$(WOTPY_INSTALLED): $(NODE)/requirements.txt
	@$(PYTHON) -m venv $(NODE)/.venv && \
	  $(NODE)/.venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    --requirement $(NODE)/requirements.txt && touch $@ || \
	  echo "wotpy cannot be installed: no Python client of others will judge the server." >&2

# Debian's root gets it at once; what is there already is used. Without it the tests that need it
# are skipped, and say so; with CI=true they fail instead.
chromium:
ifeq ($(CHROMIUM),)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "apt-get install chromium"; apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
	      chromium >/dev/null || echo "It failed: no real browser will visit the server." >&2; \
	else \
	  echo "Chromium is not installed: no real browser will visit the server." >&2; \
	fi
endif

clean:
	rm -rf $(VENV) .bench $(NODE)/node_modules $(NODE)/.venv build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
