# From a fresh clone: `make demo` shows what Lamina does, `make test` runs the tests, `make lint` checks style and types,
# `make fuzz` tries random layers (N of them, from SEED).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
N ?= 500
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint fuzz clean

demo: $(INSTALLED)
	$(BIN)/python -m lamina.demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(INSTALLED)
	PYTHONPATH=tests/codegen $(BIN)/python tests/fuzz/run.py --number $(N) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf $(VENV)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
