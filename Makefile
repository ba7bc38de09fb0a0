# `make demo` and `make test` do all the set-up they need from a fresh clone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

TOOLS := $(VENV)/supply-chain

.PHONY: demo test fast lint types layers supply-chain format docs clean

$(INSTALLED): setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[compare,demo,lineage,publish,sign,test]'
	touch $@

demo: $(INSTALLED)  ## the main job: build shards of real and generated images, audit them, show the verdicts beside the truth
	$(BIN)/causalprint demo --output demo
	@echo "To type the commands of README.md: . $(BIN)/activate"

test: $(INSTALLED)  ## the whole suite, slow tests included, two files of tests at a time
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

fast: $(INSTALLED)  ## the suite without its slow tests
	$(BIN)/python -m pytest -m 'not slow'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

layers: $(INSTALLED)
	$(BIN)/lint-imports

$(TOOLS)/.installed: .ci/supply_chain.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement .ci/supply_chain.txt
	touch $@

supply-chain: $(INSTALLED) $(TOOLS)/.installed  ## a CycloneDX SBOM, the licences and the known vulnerabilities of what is installed
	$(BIN)/python .ci/supply_chain.py $(VENV) $(TOOLS) build/supply-chain

format: $(INSTALLED)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(INSTALLED)  ## what is generated from the code
	$(BIN)/python -m causalprint.schemas.document > docs/tables.md
	$(BIN)/python -m causalprint.pipelines.flex_template > deploy/dataflow/metadata.json

clean:
	rm -rf $(VENV) demo build dist *.egg-info
