# make run | serve | test | test-fast | test-all | coverage | check | types | audit | bench |
# bench-quick | decisions | quality | effect | spark: each builds what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What is compiled is kept, wherever that is switched off: the tests start Python hundreds of times.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto

.DEFAULT_GOAL := help
.PHONY: help install spark run serve test test-fast test-all coverage check types audit bench \
    bench-quick decisions quality effect clean

# What mirrors the rooms of attrition/, so that a change of one is proved within a minute.
ROOMS := core runs data model engines calls monitoring ranking report web

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.runtime  ## build the environment the pipeline runs in

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	    || { echo "no virtual environment; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@echo "installing requirements.txt into $(VENV) (once, about a minute)"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.spark: requirements-spark.txt $(VENV)/.runtime
	@echo "installing requirements-spark.txt into $(VENV) (once; 500 MB)"
	@$(PIP) -r requirements-spark.txt
	@touch $@

spark: $(VENV)/.spark  ## add the engine Spark to the environment (it needs Java as well)

# LOCKED=yes takes the very versions that were tested, where requirements.lock fits.
DEVELOPMENT := $(if $(LOCKED),requirements.lock,requirements-dev.txt)

$(VENV)/.development: $(DEVELOPMENT) requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "installing $(DEVELOPMENT) into $(VENV) (once, about a minute)"
	@$(PIP) $(if $(LOCKED),--require-hashes) -r $(DEVELOPMENT)
	@touch $@ $(VENV)/.runtime

# A study of calls takes a list, calls, and outcomes. After the first list of the sample data they are
# made up, once, and a second run takes them in.
SAMPLE_BEGINS := $(and $(wildcard sourcedata/dataset5.csv),$(if \
    $(PROJECT)$(filter-out sourcedata/dataset%.csv,$(wildcard sourcedata/*.csv)),,yes))
RUN = $(BIN)/python fullprocess.py $(if $(PROJECT),--config "$(PROJECT)/config.json")

run: $(VENV)/.runtime  ## one run of the whole pipeline (PROJECT=folder: of another project)
	@$(RUN)
ifneq ($(SAMPLE_BEGINS),)
	@echo "The sample goes on: calls by this list, and what became of the clients, are made up."
	@$(BIN)/python -m attrition.data.synthetic --value --clients 2500 --seed 16 \
	    --first-client 12000 --open-share 1 --list models/clientrisk.csv \
	    --actions actions/calls.csv --output sourcedata/outcomes.csv
	@$(RUN)
endif

serve: $(VENV)/.runtime  ## serve the API and the page on http://127.0.0.1:8000 (PORT=, PROJECT=)
	@$(if $(PROJECT),ATTRITION_CONFIG="$(PROJECT)/config.json") \
	    $(BIN)/gunicorn $(if $(PORT),--bind 127.0.0.1:$(PORT)) wsgi:app

test: $(VENV)/.development  ## the tests, the long sweeps sampled
	@$(PYTEST) $(ARGS)

test-fast: $(VENV)/.development  ## the tests of the rooms alone, without the slow ones: a minute
	@$(PYTEST) -m "not slow" $(ROOMS:%=tests/%) $(ARGS)

test-all: $(VENV)/.development  ## every test, the sweeps whole: every kill, failing disks, a long soak
	@$(PYTEST) --complete $(ARGS)

coverage: $(VENV)/.development  ## the same, with coverage
	@COVERAGE_FILE=$(CURDIR)/.coverage $(PYTEST) --cov=$(CURDIR) $(ARGS)

audit: $(VENV)/.development  ## are there known holes in the packages? (asks a public index)
	@told=$$(timeout 120 $(BIN)/pip-audit --requirement requirements.txt --progress-spinner off 2>&1); \
	echo "$$told"; \
	case "$$told" in \
	    *"Found "*" known vulnerabilit"*) exit 1;; \
	    *"No known vulnerabilities"*) ;; \
	    *) echo "audit: no index answered, nothing was checked";; \
	esac

check: $(VENV)/.development  ## format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types

types: $(VENV)/.development  ## types alone
	@$(BIN)/mypy attrition *.py tests benchmarks

bench: $(VENV)/.development  ## every bar of speed and size, written to benchmarks/results.md
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.development  ## the same with small tables, in a minute
	@$(BIN)/python -m benchmarks --quick

decisions: $(VENV)/.development  ## do the decisions hold: streams of batches, half an hour
	@$(BIN)/python -m benchmarks.decisions

quality: $(VENV)/.development  ## how good the model is, beside plain and boosted ones and EBM
	@$(BIN)/python -m benchmarks.left_out
	@$(BIN)/python -m benchmarks.quality

effect: $(VENV)/.development  ## whether what is said of calls holds, in simulated studies
	@$(BIN)/python -m benchmarks.effect

clean:  ## remove the environment and the caches, never data
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
