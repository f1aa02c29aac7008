# One-word commands. Each interpreter has its own environment, .venv/3.13t for example:
#
#   make test PYTHON=python3.13
#
# `make demo` and `make test` need a Python with its headers and a C compiler, no more.

PYTHON ?= python3
PYTEST_ARGS ?=
# For the C tests: none, address,undefined or thread.
SANITIZE ?= none
WERROR ?= false

TAG := $(shell $(PYTHON) -I tools/python_tag.py)
ifeq ($(TAG),)
$(error PYTHON=$(PYTHON) is not a Python of version 3.11 or later)
endif

comma := ,
VENV := .venv/$(TAG)
BIN := $(abspath $(VENV))/bin
BUILD := build/$(TAG)
CTEST_BUILD := build/ctest-$(subst $(comma),-,$(SANITIZE))

SOURCES := meson.build meson.options $(shell find taskrt csrc examples tests/bench \
    -name '*.py' -o -name '*.pyi' -o -name '*.[ch]' -o -name '*.cpp' -o -name meson.build)
C_FILES := $(shell find csrc tests/runtime taskrt/include -name '*.[ch]')
C_BUILD_FILES := meson.build meson.options csrc/runtime/meson.build \
    tests/runtime/meson.build

# The newest release of a tool may have no wheel for an interpreter where an older one
# has. Free-threaded 3.13 has no cffi, no Numba, no uvloop and no gevent.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
    --prefer-binary
INSTALL_TASKRT := $(PIP_INSTALL) --no-build-isolation --no-deps \
    --config-settings build-dir=$(BUILD) --config-settings setup-args=-Dwerror=$(WERROR)
demo-extras := numpy
test-extras := test numpy cython blas progress sklearn joblib dask \
    $(if $(filter 3.13t,$(TAG)),,aio cffi numba)
bench-extras := numpy sklearn $(if $(filter 3.13t,$(TAG)),,bench)
lint-extras := lint
docs-extras := docs

export PATH := $(BIN):$(PATH)

.PHONY: demo test ctest pytest models stress bench lint docs check build build-tools \
    clean

# The package is run with -P: from where it is installed, not from its sources here.
demo: $(VENV)/installed $(VENV)/demo-tools
	python -P -m taskrt demo

test: $(CTEST_BUILD)/passed pytest

# The C tests do not depend on the interpreter: once for each state of the sources.
$(CTEST_BUILD)/passed: $(C_FILES) $(C_BUILD_FILES)
	$(MAKE) --no-print-directory ctest

ctest: $(VENV)/build-tools
	test -e $(CTEST_BUILD)/build.ninja || meson setup $(CTEST_BUILD) -Dbinding=false \
	    -Dbuildtype=debugoptimized -Db_sanitize=$(SANITIZE) -Dwerror=$(WERROR)
	meson test -C $(CTEST_BUILD) --print-errorlogs
	touch $(CTEST_BUILD)/passed

pytest: $(VENV)/installed $(VENV)/test-tools
	pytest $(PYTEST_ARGS)

models:
	tests/models/run

stress: $(VENV)/installed $(VENV)/test-tools
	$(MAKE) ctest SANITIZE=address,undefined
	$(MAKE) ctest SANITIZE=thread
	pytest -m stress $(PYTEST_ARGS)
	tools/test-with-chaos $(PYTHON)

bench: $(VENV)/installed $(VENV)/bench-tools
	python tests/bench/run.py

lint: $(VENV)/installed $(VENV)/test-tools $(VENV)/lint-tools
	ruff check
	ruff format --check
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet -p $(BUILD) $(filter csrc/%.c,$(C_FILES))
	mypy
	stubtest --mypy-config-file pyproject.toml taskrt._core
	pyright
	lint-imports

docs: $(VENV)/installed $(VENV)/test-tools $(VENV)/docs-tools
	pytest tests/test_docs.py tests/test_moving.py
	sphinx-build -W --keep-going -q docs docs/_build

# All that a change must pass.
check: lint test docs

# An installation that takes up edits at the next import.
build: $(VENV)/build-tools
	$(INSTALL_TASKRT) --editable .
	touch $(VENV)/editable $(VENV)/installed

build-tools: $(VENV)/build-tools

clean:
	rm -rf .venv build docs/_build

$(VENV)/installed: $(VENV)/build-tools $(SOURCES)
	test -e $(VENV)/editable || $(INSTALL_TASKRT) .
	touch $@

$(VENV)/build-tools: pyproject.toml tools/install-greenlet
	$(PYTHON) -m venv $(VENV)
	tools/install-greenlet $(BIN)/python
	$(PIP_INSTALL) 'meson-python>=0.18' meson ninja
	touch $@

$(VENV)/%-tools: pyproject.toml $(VENV)/build-tools
	python tools/extras.py $($*-extras) | $(PIP_INSTALL) -r /dev/stdin
	touch $@
