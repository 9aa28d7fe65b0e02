# Every target sets up what it needs. `make help` lists them.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
CHECKED := src tests benchmarks workflow/scripts
WORKFLOW := Snakefile $(wildcard workflow/rules/*.smk)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-judge vllm test-vllm test-slurm lint format docs bench-demo bench-layer-r2 bench-controls bench-pairs bench-replay bench-storage bench-generation bench-reliability miniatures bench-plans demo-vllm calibration clean

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
	$(BIN)/snakemake --cores $(CORES) --scheduler greedy --configfile demo.yaml --logger syncr2
	$(BIN)/snakemake --cores 1 --configfile demo.yaml --report results/demo/report.html --quiet all
	@echo "Open results/demo/report.html in a browser."

test: $(VENV)/.dev  ## Unit and workflow tests
	$(BIN)/pytest

test-judge: $(VENV)/.dev  ## The judge against a server that fails in every way, and in the workflow
	$(BIN)/pytest tests/unit/test_judges.py tests/unit/test_judges_openai.py tests/unit/test_judges_orders.py \
	  tests/unit/test_judges_performance.py tests/workflow/test_judge_rules.py

# vLLM pins torch and transformers of its own, so it lives apart. Without a GPU: the distribution for CPUs, less four
# packages that its dependencies bring and that do not go with a torch for CPUs (with torchvision, vLLM does not start).
VLLM := .venv-vllm
VLLM_PINS := requirements/$(if $(shell nvidia-smi -L 2>/dev/null),vllm,vllm-cpu).txt

vllm: $(VLLM)/.ready  ## A .venv-vllm with vLLM, for the engine `vllm` (3 GB; with a GPU more)

$(VLLM)/.ready: $(VLLM_PINS) $(VENV)/.python
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check -r $(VLLM_PINS)
	$(if $(findstring cpu,$(VLLM_PINS)),$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec triton)
	@touch $@

demo-vllm: $(VENV)/.run $(VLLM)/.ready  ## The demo with vLLM servers on the CPU and three of the models
	$(BIN)/snakemake --cores $(CORES) --scheduler greedy --configfile demo.yaml demo-vllm.yaml --logger syncr2
	$(BIN)/snakemake --cores 1 --configfile demo.yaml demo-vllm.yaml --report results/demo-vllm/report.html --quiet all
	@echo "Open results/demo-vllm/report.html in a browser."

test-vllm: $(VENV)/.dev $(VLLM)/.ready  ## Real vLLM servers, without a GPU: dialogues, judge, accidents
	$(BIN)/pytest tests/vllm

# Slurm and munge come from Debian; they are installed if they are not there.
test-slurm: $(VENV)/.dev  ## The workflow on a real Slurm cluster of two nodes on this host (root, Debian)
	@PATH=$$PATH:/usr/sbin; command -v slurmctld munged >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge procps; }
	$(BIN)/pytest tests/cluster

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

bench-controls: $(VENV)/.run  ## Cost of nested choice and null; protocols and findings of a finished demo
	$(BIN)/python benchmarks/controls.py
	$(BIN)/python benchmarks/protocols.py
	$(BIN)/python benchmarks/findings.py

bench-pairs: $(VENV)/.run  ## False alarms and power of tests over pairs, on simulated traits of models
	$(BIN)/python benchmarks/pair_statistics.py

bench-replay: $(VENV)/.run  ## Speed, memory and differences of the replay of prompts beside other ways
	$(BIN)/python benchmarks/replay.py

bench-storage: $(VENV)/.run  ## Bytes, files and reading speed of states beside a .npy a turn
	$(BIN)/python benchmarks/storage.py

bench-generation: $(VENV)/.run $(VLLM)/.ready  ## Dialogues a minute through vLLM, in process, and the published way
	$(BIN)/python benchmarks/generation.py

bench-reliability: $(VENV)/.dev  ## Kills, full disks, damaged files and other accidents, into benchmarks/results (root)
	$(BIN)/python benchmarks/reliability.py

bench-plans: $(VENV)/.run  ## Jobs of the full experiment and of larger ones; time and memory of planning them
	$(BIN)/python benchmarks/plans.py

miniatures: $(VENV)/.run  ## Train the six miniatures of the toy world anew, into resources/miniatures
	$(BIN)/python -m syncr2.world train --jobs $(CORES) --threads 1

calibration: $(VENV)/.run  ## SyncR² of models from worlds of known coupling, into benchmarks/results (docs/calibration.md)
	$(BIN)/python -m syncr2.world train --group calibration --missing --jobs $(CORES) --threads 1
	$(BIN)/snakemake --cores $(CORES) --scheduler greedy --configfile calibration.yaml --logger syncr2
	$(BIN)/snakemake --cores 1 --configfile calibration.yaml --report results/calibration/report.html --quiet all
	$(BIN)/python benchmarks/calibration.py

format: $(VENV)/.dev  ## Bring the code into its style
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/snakefmt $(WORKFLOW)

docs: $(VENV)/.run  ## Write docs/configuration.md from the schema
	$(BIN)/python -m syncr2 docs

clean:  ## Remove the environment and caches; results stay
	rm -rf $(VENV) $(VLLM) .pytest_cache .ruff_cache .mypy_cache
