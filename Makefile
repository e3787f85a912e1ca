# Everything runs from the root of the checkout: the package `platform` is found there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 20

.PHONY: study test test-cluster faults thorough lint audit clean

study: $(VENV)/installed
	$(BIN)/python -m platform.study studies/quickstart.py

# By file, so that what its tests share is made once, and those with slow tests first, as tests/conftest.py has it.
BY_FILE := --dist loadfile --no-loadscope-reorder

# Threads that wait give up their core, which they would else keep from the many processes beside them for no use.
test test-cluster faults thorough: export OMP_WAIT_POLICY := PASSIVE

# Lint and types are among the tests. More at a time than there are cores: much of a test with real processes is waiting.
test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses 4 $(BY_FILE) --ignore tests/cluster --ignore tests/faults

# Studies on several nodes, with results in a bucket, on a head elsewhere, and by `ray up cluster.yaml` on made-up
# hosts, which needs root.
test-cluster: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses 3 $(BY_FILE) tests/cluster

# Every fault of tests/faults, with that many seeds each: `make faults SEEDS=20`; up to 2, the thorough ones are left out.
faults: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses 3 --maxschedchunk 1 tests/faults --seeds $(SEEDS)

# What the three above leave out: cases that differ little from others, or take long.
thorough: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses 2 $(BY_FILE) -m thorough --seeds 3 tests

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Known vulnerabilities of what is pinned. It needs PyPI's own data; what is not found there is an error, not well.
audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	@$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt || \
	    { echo "audit: vulnerabilities were found, or (see above) their data could not be had, and nothing is known"; exit 1; }

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV): several GB, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@# The package wants a `typing` of its own, which would hide Python's from whoever has packages on PYTHONPATH.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps cityscapesscripts
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-audit .mypy_cache .ruff_cache .pytest_cache
