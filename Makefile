# The whole way from a fresh machine (Python 3.11+ and make) to a running demo or a test run.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv parts demo test faults lint size lock

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
HUB := .venv/bin/hub
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
# the developer's environment holds the demo's
READY := $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.run)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.dev ## virtual environment .venv with everything pinned, for developers

.venv/.dev: requirements-dev.txt
.venv/.run: requirements.txt
.venv/.dev .venv/.run: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (python3, with its venv module)"; exit 1; }
	@echo "Python packages: installing $(filter requirements%,$^) into .venv"
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r $(filter requirements%,$^)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

parts: $(READY) ## download what the embedded Kafka needs (once per user)
	@$(PY) -m hub.dev.embedded.artifacts >/dev/null

demo: parts ## invented data through the whole hub (ONCE=1: stop by itself)
	@$(HUB) demo $(if $(ONCE),--once)

test: venv ## all tests (ARGS="tests/people -x": some)
	@test -n "$$HUB_TEST_KAFKA" || $(MAKE) --no-print-directory parts
	@$(PY) -m pytest $(ARGS)

faults: venv parts ## the long campaign of kills and faults (HUB_FAULTS=n random kills)
	@HUB_FAULTS=$${HUB_FAULTS:-100} $(PY) -m pytest -m faults --timeout 1200 $(ARGS) tests

lint: venv ## style, imports, generated files
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@.venv/bin/lint-imports --no-logo
	@$(HUB) schema build --check

size: venv ## lines of code per area against the marks
	@$(PY) -m hub.dev.size

LOCK := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --upgrade \
	--python-version 3.11 --custom-compile-command "make lock" pyproject.toml --extra build

lock: venv ## newest versions into requirements*.txt
	@$(PIP) uv
	@$(LOCK) -o requirements.txt
	@$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt
