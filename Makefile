# make repro  the pipeline as params.yaml says: data, both networks, evaluation, report
# make test   every test          make lint   ruff check and format
# Each makes .venv first. PYTHON=python3.12 chooses the interpreter (3.11 to 3.13).

PYTHON ?= python3
BIN := .venv/bin

.PHONY: repro test lint setup
.DEFAULT_GOAL := repro

repro: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/python -m petseg.report.summary

test: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest --numprocesses 2 --dist loadgroup

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

setup: .venv/done

.venv/done: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "error: Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m petseg.vega
	touch $@
