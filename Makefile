# Everything a person or a build machine runs. Each target makes .venv by itself when needed, from
# the lock file, with the embedded MongoDB in it. ARGS are passed on: make demo ARGS=--once

VENV := .venv
READY := $(VENV)/.ready

.PHONY: help demo test lint bench bench-check lock clean

help:
	@echo "make demo   show what ingestd does, on sample files (ARGS=--once: end with a summary)"
	@echo "make test   run all tests (ARGS: for pytest)"
	@echo "make lint   check style, format and types"
	@echo "make bench  measure speed (ARGS: for the benchmarks)"
	@echo "make bench-check  fail when it became slower than benchmarks/guard.toml says"
	@echo "make lock   renew requirements.lock; needs uv"
	@echo "make clean  remove .venv"

demo: $(READY)
	@$(VENV)/bin/ingestd demo $(ARGS)

test: $(READY)
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(VENV)/bin/python -m benchmarks $(ARGS)

bench-check: $(READY)
	$(VENV)/bin/python -m benchmarks --check $(ARGS)

# The Pythons that the lock file was tried with first, then any other that is new enough.
$(READY): requirements.lock pyproject.toml
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	  python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or later is needed and was not found;" \
	    "install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$python --version); this takes a minute, once"; \
	$$python -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@touch $(READY)

lock:
	@command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 1; }
	echo hatchling | uv pip compile --no-config --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --all-extras --upgrade \
	  --output-file requirements.lock pyproject.toml -

clean:
	rm -rf $(VENV)
