# Needs Python >= 3.11 and make; everything else comes from requirements.lock into .venv.
PYTHON ?= python3
STAMP := .venv/.installed

.PHONY: help install demo test check bench faults up lock clean
help:            ## show the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## create .venv from the lock (again only when the lock changed)
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "watchkeeper needs Python >= 3.11, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: install    ## run the whole watch once, on simulated traffic
	.venv/bin/python -m cli.main demo

up: install      ## Postgres, Prefect server and the scheduled flows, until Ctrl-C
	.venv/bin/python -m cli.main up

test: export PYTHONDONTWRITEBYTECODE =   # the tests start a hundred processes, which would each compile us anew
test: install    ## run every test, with coverage
	.venv/bin/python -m coverage erase
	.venv/bin/python -m coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	.venv/bin/python -m coverage combine --quiet
	.venv/bin/python -m coverage report --fail-under=90
	.venv/bin/python -m coverage report --include='ops/*' --fail-under=100

check: install   ## lint, types, import contracts
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports

bench: install   ## run every benchmark (BENCH_ARGS=--quick for a short one)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r benchmarks/requirements.lock
	@set -e; for file in benchmarks/*.py; do .venv/bin/python "$$file" $(BENCH_ARGS); done

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra ops
lock:            ## resolve pyproject.toml anew (needs uv)
	$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	$(COMPILE) --extra bench -c requirements.lock pyproject.toml | grep -vxFf requirements.lock \
	  | awk '/^[^ ]/ { name = $$0; next } { if (name) print name; name = ""; print }' > benchmarks/requirements.lock

faults: install  ## kill loaders and Postgres at many points; the tests do it at few
	FAULT_POINTS=30 .venv/bin/python -m pytest -v tests/tasks/test_load_file_killed.py

clean:           ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
