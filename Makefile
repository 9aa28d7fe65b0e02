# Every target sets up what it needs. `make help` lists them.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
CHECKED := src tests benchmarks workflow/scripts
WORKFLOW := Snakefile $(wildcard workflow/rules/*.smk)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-judge lint format docs bench-demo bench-layer-r2 bench-controls bench-pairs clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

venv: $(VENV)/.run  ## A .venv with pinned requirements and the package

$(VENV)/.python:
	@{ test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; } || \
	  { echo "syncr2 needs Python 3.11 or newer; found $(or $(if $(PYTHON),$(shell $(PYTHON) --version 2>/dev/null)),none). Install it (Debian: apt-get install python3.11 python3.11-venv) or say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. Install it (Debian: apt-get install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and alone: anything that asks for "some torch" would fetch the newest with gigabytes of GPU libraries.
$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/.python
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements/run.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.run  ## The whole experiment on miniature models; ends with a report to open
	$(BIN)/snakemake --cores $(CORES) --scheduler greedy --rerun-incomplete --configfile demo.yaml --logger syncr2
	$(BIN)/snakemake --cores 1 --configfile demo.yaml --report results/demo/report.html --quiet all
	@echo "Open results/demo/report.html in a browser."

test: $(VENV)/.dev  ## Unit and workflow tests
	$(BIN)/pytest

test-judge: $(VENV)/.dev  ## The judge against a server that fails in every way, and in the workflow
	$(BIN)/pytest tests/unit/test_judges.py tests/unit/test_judges_openai.py tests/unit/test_judges_orders.py \
	  tests/unit/test_judges_performance.py tests/workflow/test_judge_rules.py

lint: $(VENV)/.dev  ## Style, types, and Snakemake's own checks
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/snakefmt --check $(WORKFLOW)
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/python -m syncr2 docs --check

bench-demo: $(VENV)/.run  ## Time and memory of the demo, into benchmarks/results
	$(BIN)/python benchmarks/demo.py

bench-layer-r2: $(VENV)/.run  ## Speed and accuracy of layer R² beside other ways, into benchmarks/results
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps himalaya==0.4.11
	$(BIN)/python benchmarks/layer_r2.py --size full
	$(BIN)/python benchmarks/layer_r2.py --scaling

bench-controls: $(VENV)/.run  ## Cost of nested choice and null; the protocols on a finished demo
	$(BIN)/python benchmarks/controls.py
	$(BIN)/python benchmarks/protocols.py

bench-pairs: $(VENV)/.run  ## False alarms and power of tests over pairs, on simulated traits of models
	$(BIN)/python benchmarks/pair_statistics.py

format: $(VENV)/.dev  ## Bring the code into its style
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/snakefmt $(WORKFLOW)

docs: $(VENV)/.run  ## Write docs/configuration.md from the schema
	$(BIN)/python -m syncr2 docs

clean:  ## Remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
