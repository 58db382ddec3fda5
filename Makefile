# A fresh machine needs Python 3.11 to 3.13 and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIO ?=
ROUNDS ?= 2
# Weights that are fetched once for all installations of the machine; MODELS=none leaves it.
MODELS ?= whisper-base kokoro speakers
SEED ?= 1
DURATION ?= 120
JOBS ?= 100
CLIPS ?= 2000
ARCHIVES ?= 3
TESTS ?= tests/pipeline tests/infra tests/cli/test_elsewhere.py
STAMP := $(VENV)/.ready

AUDIT := build/audit
AUDIT_TOOLS := cyclonedx-bom==7.5.0 pip-audit==2.10.1
AUDIT_PIP := $(AUDIT)/tools/bin/python -m pip --quiet
OFFLINE := make audit asks PyPI: it needs a network. What it wants could not be had (above), and nothing was checked.
UNSOUND := make audit: a part has a known hole, or PyPI could not be asked for one: which it is stands above.

.PHONY: setup demo test check lint format bench rolling nemesis scaling elsewhere audit clean

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

# Every role restarted under load, ROUNDS times on PostgreSQL: no request refused, no sound heard twice.
rolling: setup
	$(BIN)/python -m tests.rolling $(ROUNDS)

# Faults drawn from a seed against a whole installation under load; EMBEDDED=1 against the embedded default. See CONTRIBUTING.md.
nemesis: setup
	$(BIN)/python -m tests.nemesis --seed $(SEED) --duration $(DURATION) --jobs $(JOBS) $(if $(EMBEDDED),--embedded)

# Workers started and stopped by what waits, under a burst of CLIPS and ARCHIVES, beside what a simulation of it says.
scaling: setup
	$(BIN)/python -m tests.scaling --clips $(CLIPS) --archives $(ARCHIVES)

# TESTS without what Linux alone has, as on a Mac: no /proc, no memfd, no scheduler's classes, no prctl.
elsewhere: setup
	PYTHONPATH=tests/support/elsewhere $(BIN)/python -m pytest $(TESTS)

# What an installation is built of, as a CycloneDX list in build/sbom.cdx.json, and which holes of it are known. Run it before an
# update and once a week; it is no part of CI, which must not fail because of what others published today.
audit:
	$(PYTHON) -m venv --clear $(AUDIT)/tools
	timeout 600 $(AUDIT_PIP) install $(AUDIT_TOOLS) || { echo "$(OFFLINE)" >&2; exit 1; }
	$(PYTHON) -m venv --clear --without-pip $(AUDIT)/product
	timeout 900 $(AUDIT_PIP) --python $(AUDIT)/product/bin/python install --constraint constraints.txt . \
		|| { echo "$(OFFLINE)" >&2; exit 1; }
	$(AUDIT)/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-format JSON \
		--output-file build/sbom.cdx.json $(AUDIT)/product/bin/python
	@echo "build/sbom.cdx.json lists the parts. Known holes of them:"
	$(AUDIT_PIP) --python $(AUDIT)/product/bin/python uninstall --yes stenopool  # PyPI knows nothing of it
	timeout 600 $(AUDIT)/tools/bin/pip-audit --strict --progress-spinner off --path $(AUDIT)/product/lib/python3.*/site-packages \
		|| { echo "$(UNSOUND)" >&2; exit 1; }

# The passwords of compose.yaml, made once; to have others, see docs/deployment.md.
.env:
	sh infra/docker/make-secrets

clean:
	rm -rf $(VENV)
