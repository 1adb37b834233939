# `make` prints what can be made. Every target but help sets up .venv first, with the versions in requirements.txt.

PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install

# Only the named source is searched for torch, so pip reports a missing version instead of taking the CUDA build.
TORCH_SOURCE := $(if $(findstring ://,$(TORCH_INDEX)),--index-url "$(TORCH_INDEX)",--no-index --find-links "$(TORCH_INDEX)")

export TORCH_INDEX # tools/preflight.py reads it

.PHONY: help repro check test lint setup preflight
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@echo 'make repro   run the pipeline as params.yaml says: data, both networks, evaluation, report'
	@echo 'make check   run the committed pipeline again elsewhere, and compare the results (petseg verify)'
	@echo 'make test    run the tests'
	@echo 'make lint    check style, formatting, spelling and types'
	@echo 'make setup   only install the packages into .venv (every other target does it when needed)'
	@echo
	@echo 'Variables for the set-up, for example `make repro PYTHON=python3.12`:'
	@echo 'PYTHON       the interpreter, Python 3.11 to 3.13 (default: python3)'
	@echo 'TORCH_INDEX  a package index (URL) or folder that has the CPU build of torch and torchvision:'
	@echo '             saves about 5 GB on Linux machines without an NVIDIA GPU (default: the build with CUDA)'

repro: preflight setup
	@$(BIN)/petseg doctor --quiet
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/python -m petseg.report.summary

check: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/petseg verify

test: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest --numprocesses 2 --dist loadgroup

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/pyright

setup: .venv/done

preflight:
	@$(PYTHON) tools/preflight.py --repro

.venv/packages: requirements.txt
	@$(PYTHON) tools/preflight.py
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(PIP) --no-deps --constraint requirements.txt $(TORCH_SOURCE) torch torchvision)
	$(PIP) --requirement requirements.txt
	touch $@

.venv/done: .venv/packages pyproject.toml
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m petseg.report.vega
	touch $@
