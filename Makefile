# make demo: set up and run the main job. make test: set up and run the tests.
# Needed beforehand: Python >= 3.11 with its headers, a C compiler, make. Everything else goes into $(VENV).

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.12 demo` overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# `cc` unless CC is given; the same compiler builds the extension and the C unit tests.
ifeq ($(origin CC),default)
CC := $(shell for c in cc gcc clang; do command -v "$$c" >/dev/null 2>&1 && { echo "$$c"; break; }; done)
endif
export CC

C_SOURCES := $(wildcard src/nnft/_kernels/*.c src/nnft/_kernels/core/*.c src/nnft/_kernels/core/*.h)
PIP := $(RUN) -m pip --disable-pip-version-check --quiet
CARD := data/cards/digits16.toml

# A worker for each granted processor (tests/conftest.py), which takes the next file when it is done with one;
# WORKERS= runs the tests in one process.
WORKERS ?= -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-long mutants lint sanitize bench bench-smoke docs preflight clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: $(VENV)/.stamp-run  ## sample the digits card and print its correlators
	@mkdir -p demo
	$(BIN)/nnft sample $(CARD) -o demo/run.h5 --overwrite
	@echo "the table again: $(BIN)/nnft show demo/run.h5; from Python: nnft.open(\"demo/run.h5\")"
	@echo "its couplings: $(BIN)/nnft action demo/run.h5 --order 4"

test: $(VENV)/.stamp-dev  ## the test suite (a few minutes)
	$(RUN) -m pytest $(WORKERS)

test-long: $(VENV)/.stamp-dev  ## the long statistical and fault tests
	$(RUN) -m pytest $(WORKERS) -m long --timeout 1200

mutants: $(VENV)/.stamp-dev  ## deliberate faults: the test named with each must fail
	$(RUN) tests/mutants/run.py

lint: $(VENV)/.stamp-dev  ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m mypy

sanitize: preflight  ## C unit tests under the address and undefined-behaviour sanitizers
	$(MAKE) --no-print-directory -C tests/c check CC="$(CC)"

bench-smoke: $(VENV)/.stamp-dev  ## every benchmark once on a tiny size
	@for b in benchmarks/bench_*.py; do echo "$$b"; $(RUN) "$$b" --smoke; done

bench: $(VENV)/.stamp-dev  ## every benchmark at full size; peers through `pip install -e .[bench]`
	@for b in benchmarks/bench_*.py; do echo "$$b"; $(RUN) "$$b"; done

docs: $(VENV)/.stamp-run  ## HTML documentation in docs/_build
	$(PIP) install -e ".[docs]"
	$(RUN) -m sphinx -W -b html docs docs/_build

clean:  ## remove everything that make created
	rm -rf $(VENV) build demo docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	rm -f src/nnft/_kernels/*.so
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	@$(MAKE) --no-print-directory -C tests/c clean

# ---- environment: one stamp for users, one for developers ----

preflight:
	@test -n "$(PYTHON)" || { echo "nnft: no Python >= 3.11 found; install one or call make PYTHON=/path/to/python" >&2; exit 4; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "nnft: $(PYTHON) is not a Python >= 3.11; call make PYTHON=/path/to/python3.11 (or newer)" >&2; exit 4; }
	@command -v "$(firstword $(CC))" >/dev/null 2>&1 || \
		{ echo "nnft: no C compiler found (tried cc, gcc, clang); install one (Debian: apt-get install gcc libc6-dev) or set CC" >&2; exit 4; }
	@printf '#include <math.h>\nint main(void){return 0;}\n' | $(CC) -x c -fsyntax-only - 2>/dev/null || \
		{ echo "nnft: $(CC) cannot compile a C program with <math.h>; install the C library headers (Debian: libc6-dev)" >&2; exit 4; }

$(RUN): | preflight
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "nnft: $(PYTHON) cannot create virtual environments; install its venv package (Debian: apt-get install python3-venv)" >&2; exit 4; }
	@"$(PYTHON)" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(os.path.join(s.get_path("include"), "Python.h")))' || \
		{ echo "nnft: the headers of $(PYTHON) are missing (Python.h); install them (Debian: apt-get install python3-dev)" >&2; exit 4; }
	"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/.stamp-tools: | $(RUN)
	$(PIP) install --upgrade pip "setuptools>=77" wheel
	@touch $@

$(VENV)/.stamp-run: pyproject.toml setup.py setup.cfg $(C_SOURCES) $(VENV)/.stamp-tools
	$(PIP) install --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml setup.py setup.cfg $(C_SOURCES) $(VENV)/.stamp-tools
	$(PIP) install --no-build-isolation -e ".[dev]"
	@touch $(VENV)/.stamp-run $@
