# Every target makes its own environment in .venv when there is none.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint check format bench

demo: .venv/base  ## one-hot against label embedding on small digits, in about a minute
	$(BIN)/labelemb demo

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.augmentation
	$(BIN)/python -m benchmarks.large_vocabulary --quick
	$(BIN)/python -m benchmarks.sequences

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "labelemb needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed: .venv/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
