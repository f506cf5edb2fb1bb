# LabThings: `make demo` shows it, `make check` and `make test` check it, `make help` lists the rest.
#
# Needs make and Python >= 3.11 with its venv module; choose one with `make test PYTHON=python3.12`.
# Everything is installed into .venv, which is kept until pyproject.toml changes.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
PYTEST_ARGS ?=
# Most tests wait for a server or a browser: three processes keep two cores busy.
JOBS ?= 3
BENCH_ARGS ?= --json benchmarks/results/latest.json --svg benchmarks/results/latest.svg

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PARALLEL := --numprocesses $(JOBS) --dist loadfile
PYTEST := $(BIN)/python -m pytest
QUICK := $(PYTEST) -m "not slow" $(PYTEST_ARGS)

VENV_MADE := $(VENV)/.made
DEMO_INSTALLED := $(VENV)/.installed-demo
DEV_INSTALLED := $(VENV)/.installed-dev
# Clients, servers and validators of other projects, used by tests/conformance.
NODE := tests/conformance
NODE_INSTALLED := $(NODE)/node_modules/.installed
OTHERS_INSTALLED := $(patsubst %,$(NODE)/.venv-%/.installed,wotpy hololinked webthing)
# The web page: its sources are in $(UI)/web, what is built of them in $(UI)/bundle.
UI := src/labthings_fastapi/ui
# The browser of tests/e2e; another one: make test LABTHINGS_CHROMIUM=/path
CHROMIUM := $(firstword $(LABTHINGS_CHROMIUM) \
  $(shell command -v chromium || command -v chromium-browser || command -v google-chrome))

# Coverage is measured where the tests run the code in their own process.
MEASURED := unit contracts properties integration
UNMEASURED := faults typing e2e conformance
FOLDERS := $(MEASURED) $(UNMEASURED)
TYPED := src $(wildcard tests/typing)
# `make pythons` uses each of these that is installed.
PYTHONS := python3.11 python3.12 python3.13 python3.14

.DEFAULT_GOAL := help
.PHONY: help demo page check test slow pythons bench soak lint types imports architecture format \
  chromium clean $(FOLDERS)

help:
	@echo "make demo          install the demo and serve it on http://$(HOST):$(PORT)"
	@echo "make page          build the web page, if its sources have changed"
	@echo "make check         the fast checks: lint, types, architecture, unit tests"
	@echo "make test          every check and test that decides; continuous integration runs this"
	@echo "make slow          the tests that take minutes: many kills, many examples, the soak"
	@echo "make pythons       the tests without a browser, on each Python that is installed"
	@echo "make lint          ruff: rules and format        make format  corrects both"
	@echo "make types         mypy, strict, for Linux and for Windows"
	@echo "make architecture  import rules and the length of modules"
	@echo "make <folder>      one folder of tests/: $(FOLDERS)"
	@echo "make chromium      install the browser of tests/e2e"
	@echo "make bench         compare with other servers, half an hour; BENCH_ARGS=--quick for less"
	@echo "make soak          ten minutes of mixed load: does anything grow?"
	@echo "make clean         remove installations and the files of the tools"

demo: $(DEMO_INSTALLED) page
	$(BIN)/labthings-server --demo --host $(HOST) --port $(PORT)

# Needs Node with its npm; without them the server shows a page that says so.
page: $(VENV_MADE)
	@$(BIN)/python build_page.py || true

check: lint types imports
	$(QUICK) $(PARALLEL) tests/unit

# The same checks as `make check`, and all tests. pytest comes last: its closing line is the last
# one printed, and its exit code is that of make.
test: lint types imports page $(NODE_INSTALLED) $(OTHERS_INSTALLED) chromium
	$(BIN)/python build_page.py --check
	$(QUICK) $(PARALLEL) --cov --cov-report=json:.coverage.json $(MEASURED:%=tests/%)
	$(BIN)/python tests/coverage_of_packages.py .coverage.json
	$(QUICK) $(PARALLEL) $(UNMEASURED:%=tests/%)

slow: $(DEV_INSTALLED)
	$(PYTEST) -m slow $(PYTEST_ARGS) tests
	HYPOTHESIS_PROFILE=thorough $(PYTEST) --timeout 3600 $(PARALLEL) $(PYTEST_ARGS) tests/properties
	$(BIN)/python benchmarks/soak.py

# Each Python gets an environment of its own, .venv-3.x.
pythons:
	@tried=; for python in $(PYTHONS); do \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || { \
	    echo "$$python is not installed: skipped"; continue; }; \
	  $(MAKE) --no-print-directory PYTHON="$$python" VENV=".venv-$$version" imports $(MEASURED) \
	    || exit 1; \
	  tried="$$tried $$version"; \
	done; \
	test -n "$$tried" && echo "Tested with Python$$tried"

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
	$(PYTEST) $(PYTEST_ARGS) tests/unit/test_architecture.py

# The other servers get environments of their own, under .bench.
bench: $(DEV_INSTALLED)
	$(BIN)/python benchmarks/compare.py $(BENCH_ARGS)

soak: $(DEV_INSTALLED)
	$(BIN)/python benchmarks/soak.py

conformance: $(NODE_INSTALLED) $(OTHERS_INSTALLED)

e2e: chromium page

$(FOLDERS): $(DEV_INSTALLED)
	$(QUICK) $(PARALLEL) tests/$@

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

# The extra `dev` includes the demo, so one installation does for both.
$(DEV_INSTALLED): pyproject.toml $(VENV_MADE)
	$(PIP) install --editable '.[dev]'
	@touch $(DEMO_INSTALLED) $@

# Without Node these tests are skipped, with the reason; with CI=true they fail. There is no lock
# file, because it would name the package registry.
$(NODE_INSTALLED): $(NODE)/package.json
	@if command -v npm >/dev/null; then \
	  echo "npm install in $(NODE)"; \
	  cd $(NODE) && npm install --no-package-lock --no-audit --no-fund --loglevel=error && \
	    touch node_modules/.installed; \
	else \
	  echo "Node and its npm are not installed: the tests with W3C clients do not run." >&2; \
	fi

# Each in an environment of its own, because their dependencies are not ours.
$(NODE)/.venv-%/.installed: $(NODE)/requirements-%.txt
	@$(PYTHON) -m venv $(NODE)/.venv-$* && \
	  $(NODE)/.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check \
	    --requirement $< && touch $@ || \
	  echo "$* cannot be installed: the tests with it do not run." >&2

# Installed with apt-get if the user is root, unless there is one. Without a browser its tests are
# skipped, with the reason; with CI=true they fail.
chromium:
ifeq ($(CHROMIUM),)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "apt-get install chromium"; apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
	      chromium >/dev/null || echo "It failed: the browser tests do not run." >&2; \
	else \
	  echo "Chromium is not installed: the browser tests do not run." >&2; \
	fi
endif

clean:
	rm -rf .venv .venv-3.* .bench $(NODE)/node_modules $(NODE)/.venv-* build dist
	rm -rf $(UI)/bundle $(UI)/web/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  .coverage .coverage.json
