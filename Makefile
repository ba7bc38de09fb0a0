# `make demo` and `make test` do all the set-up they need from a fresh clone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

TOOLS := $(VENV)/supply-chain
# Real clusters are started where what starts them lies beside this folder.
ENGINES := $(if $(wildcard ../shared/clusters),.venv-flink/.installed .venv-spark/.installed)

.PHONY: demo test fast clusters lint types layers supply-chain format docs clean

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
	$(BIN)/python -m pytest -m 'not slow and not cluster'

clusters: $(INSTALLED) $(ENGINES)  ## audits on real Flink and Spark clusters, with faults; says why where there are none
	$(BIN)/python -m pytest -m cluster tests/clusters

.venv-flink/.installed: WHAT := --no-deps apache-flink-libraries==1.19.3
.venv-spark/.installed: WHAT := pyspark==3.5.7
.venv-%/.installed:
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check $(WHAT)
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py

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
	rm -rf $(VENV) .venv-flink .venv-spark demo build dist *.egg-info
