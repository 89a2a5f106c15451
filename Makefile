# Everything a person or CI runs. Each target does its own set-up and can be run again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Packages come uncompiled; a Python that may not keep what it compiles would do so again in every process.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
NAME ?= local
STACK ?= dev
MINUTES ?= 5
SIZE ?= 1
# Stack configuration for `make up`: CONFIG="gcPeriod=1d cache=inmemory"; NODE_PORT is short for nodePort.
CONFIG ?=
NODE_PORT ?=

venv := .venv/bin/python
settings := $(foreach pair,$(if $(NODE_PORT),nodePort=$(NODE_PORT)) $(CONFIG),--config '$(pair)')
deploy = exec $(venv) -m deploy $(1) --name '$(NAME)' --stack '$(STACK)' $(if $(SANDBOX),--sandbox) \
    $(if $(filter 1 y yes true,$(YES)),--yes)

.PHONY: help up down test lint unit gc e2e soak mutations bench clean lock setup tools build root

help: ## Say what there is
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## (.*)/    make \1|\2/' | column -t -s '|'
	@echo
	@echo '    NODE_PORT=32100 CONFIG="gcPeriod=1d cache=inmemory"   stack configuration for make up'
	@echo '    SANDBOX=1                                             a throw-away cluster, whatever the kubeconfig says'
	@echo '    YES=1                                                 change a cluster of yours without asking'
	@echo '    NAME=local STACK=dev                                  the name of the throw-away cluster, of the stack'

up: setup ## The registry on the cluster of your kubeconfig, or on a throw-away one on this machine
	@$(call deploy,up) $(settings)

down: setup ## Remove all that `make up` made
	@$(call deploy,down)

test: root lint build ## Everything: lint, types, and the tests: unit, pruner, end to end
	@exec $(venv) -m pytest -n 3 --dist loadscope --no-loadscope-reorder

lint: setup ## ruff and pyright
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet . || { echo 'lint: not formatted: run `.venv/bin/ruff format .`' >&2; exit 1; }
	@.venv/bin/pyright

unit: setup ## The tests of the Pulumi program and of the sandbox's own logic
	@exec $(venv) -m pytest tests/unit tests/deploy tests/sandbox

gc: tools ## The tests of the pruner, on trees that real registries wrote
	@exec $(venv) -m pytest tests/gc

e2e: root build ## The tests on a throw-away cluster, through Pulumi
	@exec $(venv) -m pytest tests/e2e

soak: tools ## Clients at work while the pruner runs back to back, for MINUTES=5
	@exec $(venv) -m tests.soak --minutes '$(MINUTES)' $(SOAK)

mutations: tools ## The pruner without each of its safeguards in turn, and the test that notices it
	@exec $(venv) -m tests.mutations

bench: tools ## The pruner beside the registry's collector, measured: SIZE=1; leaves docs/benchmarks.md and its plot
	@exec $(venv) -m benchmarks --size '$(SIZE)' $(BENCH)

clean: setup ## Give back the disk that the builds and their caches take
	@exec $(venv) -m sandbox clean

lock: setup ## Resolve the dependencies of pyproject.toml anew
	@$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	@for extra in '' dev; do \
	    build/lock/bin/uv pip compile --quiet --upgrade --python-version 3.11.0 --generate-hashes --no-header \
	        $${extra:+--extra $$extra} pyproject.toml -o requirements$${extra:+-$$extra}.txt; \
	done
	@build/lock/bin/uv pip compile --quiet --upgrade --python-version 3.11.0 --generate-hashes --no-header \
	    sandbox/checkov/requirements.in -o sandbox/checkov/requirements.txt

setup:
	@$(PYTHON) sandbox/bootstrap.py

tools: setup
	@$(venv) -m sandbox tools

build: setup
	@$(venv) -m sandbox build

root:
	@[[ $$(id -u) == 0 ]] || { \
	    echo 'make: the end-to-end tests bring up a cluster, which needs root: use sudo, or make unit gc' >&2; \
	    exit 1; }
