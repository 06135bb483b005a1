# Everything runs from a checkout with Python 3.10 or newer and make. Start with `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# ML Metadata's wheel, to compare with, needs a Python of its own and an old protobuf.
PEERS := .venv-peers
PEERS_PYTHON ?= $(shell command -v python3.11 || command -v python3.10 || command -v $(PYTHON))
# The generator is pinned: its output loads on every protobuf from 4.25 to 7.
GENERATOR := .venv-proto
# Kedro's plugin is tested apart, because Kedro pins what headwater does not.
KEDRO := .venv-kedro

export HEADWATER_PEERS_PYTHON ?= $(abspath $(PEERS)/bin/python)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-kedro test test-kedro check lint types imports proto proto-check compat peers differential benchmark clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed  ## make .venv with headwater and the tools of development

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --editable '.[postgresql,mysql]' --group dev
	@touch $@

demo: $(VENV)/.demo  ## run a training pipeline: all of it, nothing, what changed; trace its model back
	$(BIN)/python examples/training/pipeline.py

$(VENV)/.demo: $(VENV)/.installed examples/training/requirements.txt
	$(PIP) --requirement examples/training/requirements.txt
	@touch $@

demo-kedro: $(KEDRO)/.installed  ## run the Kedro project: all of it, nothing, what changed; trace its model back
	cd examples/kedro && export DO_NOT_TRACK=1 PATH="$(abspath $(KEDRO))/bin:$$PATH" \
	  && kedro run && kedro headwater run && kedro headwater run --params lag_days=2 && kedro headwater lineage model

test: setup $(VENV)/.demo peers  ## run the tests; what could not run is named at the end
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

test-kedro: $(KEDRO)/.installed $(KEDRO)-oldest/.installed  ## run the tests of the Kedro plugin on the newest and the oldest Kedro
	$(KEDRO)/bin/python -m mypy --strict plugins/kedro/src
	$(KEDRO)/bin/python -m pytest --numprocesses auto plugins/kedro/tests $(PYTEST_ARGS)
	$(KEDRO)-oldest/bin/python -m pytest --numprocesses auto plugins/kedro/tests $(PYTEST_ARGS)

$(KEDRO)/.installed $(KEDRO)-oldest/.installed: pyproject.toml plugins/kedro/pyproject.toml $(wildcard plugins/kedro/tests/*.txt)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[svg]' --editable plugins/kedro \
	  kedro$(if $(findstring oldest,$@),==1.0.0) --requirement plugins/kedro/tests/requirements.txt \
	  $(if $(findstring oldest,$@),,--requirement plugins/kedro/tests/requirements-starters.txt)
	@touch $@

check: lint types imports proto-check  ## style, types, import contracts, freshness of generated code

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

proto: $(GENERATOR)/.installed  ## generate src/headwater/v1 from proto/
	$(GENERATOR)/bin/python -m grpc_tools.protoc -Iproto --python_out=src --pyi_out=src proto/headwater/v1/*.proto

proto-check: $(GENERATOR)/.installed  ## fail if src/headwater/v1 is not what proto/ gives
	rm -rf $(GENERATOR)/out && mkdir $(GENERATOR)/out
	$(GENERATOR)/bin/python -m grpc_tools.protoc -Iproto --python_out=$(GENERATOR)/out --pyi_out=$(GENERATOR)/out proto/headwater/v1/*.proto
	diff -r --exclude=__init__.py --exclude=__pycache__ $(GENERATOR)/out/headwater/v1 src/headwater/v1

$(GENERATOR)/.installed: Makefile
	$(PEERS_PYTHON) -m venv $(GENERATOR)
	$(GENERATOR)/bin/python -m pip install --quiet --disable-pip-version-check grpcio-tools==1.62.3 setuptools
	@touch $@

compat: setup  ## load and serve with protobuf 4.25, 5, 6 and 7, each in a virtual environment of its own
	$(BIN)/python tests/compat/run.py

peers:  ## make .venv-peers with ML Metadata 1.17.1, to compare with (x86-64 Linux, Python 3.10 or 3.11)
	@test -e $(PEERS)/.installed || { \
	  $(PEERS_PYTHON) -m venv $(PEERS) \
	  && $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check ml-metadata==1.17.1 pytest absl-py \
	  && touch $(PEERS)/.installed; \
	} || echo "ML Metadata's wheel cannot be installed here: tests that compare with it will be skipped"

differential: setup peers  ## compare with ML Metadata's engine on random sequences; SEEDS=1-500 STEPS=300 BACKEND=mysql
	$(BIN)/python tests/differential/run.py --seeds $(or $(SEEDS),1-200) --steps $(or $(STEPS),200) \
	  --headwater $(or $(BACKEND),sqlite)

benchmark: setup peers  ## measure against ML Metadata's engine; see tests/benchmarks/README.md
	$(BIN)/python tests/benchmarks/run.py $(BENCHMARK_ARGS)

clean:  ## remove the virtual environments and caches
	rm -rf $(VENV) $(PEERS) $(GENERATOR) $(KEDRO) $(KEDRO)-oldest .pytest_cache .mypy_cache .ruff_cache
