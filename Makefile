# A fresh machine needs Python 3.11 to 3.13 and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIO ?=
# Weights that are fetched once for all installations of the machine; MODELS=none leaves it.
MODELS ?= whisper-base
STAMP := $(VENV)/.ready

.PHONY: setup demo test check lint format bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Stenopool needs Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@for model in $(filter-out none,$(MODELS)); do \
		$(BIN)/stenopool models install $$model || echo "Going on without $$model. Later: $(BIN)/stenopool models install $$model" >&2; \
	done
	touch $(STAMP)

demo: setup
	$(BIN)/stenopool demo $(if $(AUDIO),'$(AUDIO)')

# Each worker reads all tests: to have them compiled once is enough.
test check: export PYTHONDONTWRITEBYTECODE =

test: setup
	$(BIN)/python -m pytest

check: lint
	$(BIN)/python -m pytest -n logical -p randomly -m 'not processes'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m tests.benchmarks

# The passwords of compose.yaml, made once; to have others, see docs/deployment.md.
.env:
	sh infra/docker/make-secrets

clean:
	rm -rf $(VENV)
