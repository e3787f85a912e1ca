# Everything runs from the root of the checkout: the package `platform` is found there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 20

.PHONY: study test test-cluster faults lint clean

study: $(VENV)/installed
	$(BIN)/python -m platform.study studies/quickstart.py

# More tests at a time than there are cores: much of a test with real processes is waiting. A process is given its next
# test, or file of short tests, when it is free: see tests/conftest.py.
TOGETHER := --dist loadgroup --no-loadscope-reorder --numprocesses

test: $(VENV)/installed lint
	$(BIN)/python -m pytest $(TOGETHER) 4 --ignore tests/cluster --ignore tests/faults

# Studies on several nodes, with results in a bucket, and by `ray up cluster.yaml` on made-up hosts, which needs root.
test-cluster: $(VENV)/installed
	$(BIN)/python -m pytest $(TOGETHER) 2 tests/cluster

# Every fault of tests/faults, with that many seeds each: `make faults SEEDS=20`; up to 2, the thorough ones are left out.
faults: $(VENV)/installed
	$(BIN)/python -m pytest $(TOGETHER) 3 tests/faults --seeds $(SEEDS)

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV): several GB, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
