# Everything a checkout can do. Needs Python >= 3.11 (with venv), make and a network; asks for no root.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
export MPLBACKEND := Agg
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help sweep report test coverage test-slow test-faults check bench bench-sweeps ui lock letters clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

sweep: $(READY) ## install, then run the embedded sweep: 120 combinations on handwritten digits, about ten minutes
	$(BIN)/python -m tl_sweep.train -m sweep=quickstart hydra.launcher.n_jobs=2

report: $(READY) ## compare all recorded runs, and show the page in the browser
	$(BIN)/python -m tl_sweep.compare open=true

test: $(READY) ## install, then run the tests
	$(TEST) -m "not slow"

coverage: $(READY) ## the same tests, and how much of the code they run (a third slower, but on Python 3.14)
	$(TEST) -m "not slow" --cov --cov-report=json:build/coverage.json --cov-report=
	$(BIN)/python tools/coverage_gate.py

test-faults: $(READY) ## break real sweeps: signals, servers, disks; half an hour, some of it needs root
	$(BIN)/python tests/faults/faults.py table=docs/reliability.md $(FAULTS)

test-slow: $(READY) ## the slow tests alone
	$(TEST) -m slow

check: $(READY) ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TEST) -n 0 tests/test_architecture.py

bench: $(READY) ## measure against a hand-written loop; prints tables (about an hour; BENCH="images=128 repeats=1" is quicker)
	$(BIN)/python benchmarks/bench.py $(BENCH)

bench-sweeps: $(READY) ## measure what a sweep costs besides its training, up to 2,000 runs (a quarter of an hour)
	$(BIN)/python benchmarks/bench_sweeps.py $(BENCH)

ui: $(READY) ## open the recorded runs on http://127.0.0.1:5000
	$(BIN)/mlflow server --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000 --workers 1

lock: ## pin every dependency again, with hashes (needs uv)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

letters: $(READY) ## train the shipped letters weights again
	$(BIN)/python -m tl_sweep.letters source=letters
	$(BIN)/python -m tl_sweep.letters source=letters_clean
	cd tl_sweep/weights && sha256sum *.safetensors > SHA256SUMS

clean: ## remove the environment and everything that can be made again; runs and mlflow.db stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv is taken from the PATH, or brought into the new environment by pip.
$(READY): requirements.lock pyproject.toml
	@echo "installing into $(VENV) (first time: about a minute, 6 GB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@UV=$$(command -v uv || echo $(BIN)/uv) && \
	  $$UV pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock && \
	  $$UV pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
