# Two targets do everything on a machine with Python 3.11 or later, pip and make: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= data_samples/specs/sample.yml
PLAN ?= notebooks/plans/quarterly.yml
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test test-all lab bench lint lock sample clean

run: .venv/ready
	$(BIN)/recoverykit check $(DATA)
	$(BIN)/recoverykit run $(PLAN) --data $(DATA)

# One BLAS thread for each of the two workers: more of them only wait for each other.
test test-all: export OPENBLAS_NUM_THREADS = 1

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

# Everything that takes minutes; depends on `test`, so that one command shows all of it.
test-all: test
	$(BIN)/pytest -n 2 -m slow

lab: .venv/ready
	$(BIN)/jupyter lab notebooks

bench: .venv/ready
	$(BIN)/pytest tests/benchmarks -o python_files='bench_*.py' -m '' -p no:xdist -q -s --benchmark-columns=min,median,rounds

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Rewrites the embedded sample and its truth from the simulator.
sample: .venv/ready
	$(BIN)/recoverykit sample --out data_samples

# Needs uv (python -m pip install uv); one lock serves every platform and Python from 3.11.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "recoverykit needs Python 3.11 or later; say which with: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf .venv runs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
