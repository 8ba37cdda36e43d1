# swarm-lab. `make help` lists what there is to make. Needs Python 3.11 or newer and nothing else.

PYTHON ?= python3
FRAMEWORK ?= torch
# auto, cpu, cu128, ... as of uv's --torch-backend; `pypi` takes PyPI's build of PyTorch.
TORCH_BACKEND ?= auto
# Where `make lab` puts its notebooks, and more arguments for `jupyter lab`: make lab LAB_ARGS="--no-browser --port 9999"
LAB_DIR ?= $(HOME)/swarm-lab
LAB_ARGS ?=
# Arguments for pytest: make test PYTEST_ARGS="-k rounds"
PYTEST_ARGS ?=

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
MAKE_ENV = $(PYTHON) deploy/environment.py --torch-backend=$(TORCH_BACKEND)
# Two workers for what only computes; what starts processes and measures time runs alone.
UNIT := tests/unit -m "not slow" -n 2 --dist worksteal -q -rs

.DEFAULT_GOAL := help
.PHONY: help env dev demo lab extension test test-browser test-faults check lint unit lock docs clean python

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "swarm-lab needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }

env: python ## .venv with swarm-lab and one framework in it (FRAMEWORK=torch or keras)
	@$(MAKE_ENV) $(FRAMEWORK)

dev: python ## .venv with both frameworks and the tools that `make test` needs
	@$(MAKE_ENV) dev

demo: env ## One notebook, one swarm: four nodes learn a model together (FRAMEWORK=torch or keras)
	@$(BIN)/python -m swarm_lab.experiments.demo --framework $(FRAMEWORK)

lab: env extension ## JupyterLab with swarms in it: a panel, a training's tab, and a notebook to begin with
	@$(BIN)/python -m swarm_lab.experiments.lab --folder "$(LAB_DIR)" $(LAB_ARGS)

extension: ## The front end, if its sources are newer than what was built; needs `make env` or `make dev`
	@$(BIN)/python deploy/front_end.py

check: dev lint unit ## The quick part of the tests: ruff, mypy, unit and property tests

# One session for all, so that its closing line tells the whole outcome.
test: dev lint extension ## All tests
	$(PYTEST) -q -rs --durations=10 $(PYTEST_ARGS)

test-browser: dev extension ## Of these, the lab in a real browser (PICTURES=docs/pictures writes the README's pictures)
	$(PYTEST) tests/e2e -q -rs $(PYTEST_ARGS)

test-faults: dev ## The whole fault matrix, and CHANCES=1:10 seeds of faults by chance (LONG=1: with ten minutes away)
	$(PYTEST) tests/faults/matrix -q -rs --whole-matrix --chances $(or $(CHANCES),1:10) $(if $(LONG),--long) \
	  --matrix-table build/fault-matrix.json $(PYTEST_ARGS)

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

unit:
	$(PYTEST) $(UNIT) $(PYTEST_ARGS)

lock: dev ## New versions and hashes in deploy/requirements-*.txt, from pyproject.toml
	$(BIN)/python deploy/lock.py

docs: dev ## The generated pages of docs/
	$(BIN)/python docs/make_pages.py

clean: ## Remove .venv and what was built or measured; swarms and the user's cache stay
	rm -rf .venv build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
