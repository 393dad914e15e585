# Every target makes its own environment in .venv when there is none.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# A process for each core, with one thread: processes with several threads would wait for each other. Each takes half
# of the tests in their order, and then half of what another has left.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: demo test test-cluster test-integrations test-lowest test-timm lint check format docs wheel bench campaign

demo: .venv/base  ## cross entropy against label embedding on small digits, in about a minute
	$(BIN)/labelemb demo

# Tests that take up to a minute each: many processes, and the commands of whole documents.
LONG := tests/cluster tests/integrations/test_parallel.py tests/integrations/test_examples.py \
  tests/integrations/test_label_shards.py tests/training/test_fully_sharded.py
LONG_DOCUMENTS := $(patsubst %,tests/test_docs.py::test_the_commands_of_the_%_document_run, \
  translation image_classification text_classification)

test: .venv/installed
	$(PYTEST) $(addprefix --ignore ,$(LONG)) $(addprefix --deselect ,$(LONG_DOCUMENTS))

test-integrations: .venv/installed  ## the integrations of transformers and Lightning, and the longest tests
	$(PIP) -e '.[lightning,transformers]'
	$(PYTEST) tests/integrations tests/training/test_fully_sharded.py $(LONG_DOCUMENTS)

test-cluster: .venv/installed  ## runs on a Ray cluster of several nodes, all on this machine
	$(PIP) -e '.[cluster]'
	$(BIN)/python -m pytest tests/cluster

test-lowest: .venv-lowest/installed  ## the oldest versions that pyproject.toml allows (5 GB)
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n auto --dist worksteal -W default::DeprecationWarning -W default::RuntimeWarning \
	  $(addprefix --ignore ,$(LONG) tests/ops/test_triton.py tests/test_docs.py tests/test_install.py)

test-timm: .venv-timm/installed  ## the timm integration; timm needs torchvision, which needs another torch (5.5 GB)
	.venv-timm/bin/python -m pytest tests/integrations/test_timm.py tests/integrations/test_examples.py -k timm

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed  ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: .venv/installed  ## build the package and try it in environments of its own
	$(BIN)/python -m build --outdir build/dist
	.ci/try_wheel build/dist/*.whl

bench: .venv/installed
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.augmentation
	$(BIN)/python -m benchmarks.large_vocabulary --quick
	$(BIN)/python -m benchmarks.sequences

campaign: .venv/installed  ## kills, full disks, damaged files and random options, in less than 30 minutes
	$(BIN)/python -m tests.campaign

.venv/python: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "labelemb needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/base: .venv/python
	$(PIP) -e '.[report,train]'
	touch $@

# What .venv/base installs is a part of it.
.venv/installed: .venv/python
	$(PIP) -e '.[dev]'
	touch .venv/base $@

.venv-lowest/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt \
	  -e '.[data,onnx,report,text,train,transformers]' hypothesis onnxruntime pytest pytest-xdist statsmodels
	touch $@

.venv-timm/installed: pyproject.toml
	$(PYTHON) -m venv .venv-timm
	.venv-timm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
	.venv-timm/bin/python -m pip install --quiet --disable-pip-version-check timm hypothesis pytest scikit-learn -e .
	touch $@
