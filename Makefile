# What stays to be done once is done once: each lock file has a stamp in .venv.
PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/base.stamp
DEV := .venv/dev.stamp
AUDIT := .venv/audit
KEY := instance/secret_key
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--custom-compile-command "make lock" --no-emit-index-url

.DEFAULT_GOAL := help
# Half a key or half a lock file is worse than none.
.DELETE_ON_ERROR:
.PHONY: help setup demo run test lint bench torture audit lock

help:  ## print this
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 14

setup: $(DEV) $(KEY)  ## make .venv from the lock file, and a secret key

demo: $(BASE) $(KEY)  ## a board with a sample runner at work, on http://127.0.0.1:8000
	@$(BIN)/python -m flask --app wsgi demo run

run: $(BASE) $(KEY)  ## serve what the environment configures, chores included
	@$(BIN)/python -m flask --app wsgi serve

test: setup  ## every test, on SQLite and PostgreSQL and in a browser
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal

lint: setup  ## ruff, mypy and djlint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 clients/python/src
	@if find templates -name '*.html' 2>/dev/null | grep -q .; then $(BIN)/djlint --lint templates; fi

bench: setup  ## what the product costs, beside the least that it could
	$(BIN)/python -m benchmarks $(BENCH)

torture: setup  ## kill the board under load in every way, and look for what was lost
	$(BIN)/python -m torture $(TORTURE)

audit: setup $(AUDIT)/stamp  ## look for patterns of holes in the code, and for known ones in what it is built from
	$(AUDIT)/bin/bandit --quiet --recursive --configfile pyproject.toml webapp wsgi.py clients/python/src
	$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/base.txt -r requirements/dev.txt
	cd clients/typescript && npm audit

lock: $(DEV)  ## pin and hash what requirements/*.in ask for
	$(COMPILE) requirements/base.in -o requirements/base.txt
	$(COMPILE) requirements/dev.in -c requirements/base.txt -o requirements/dev.txt
	$(COMPILE) requirements/audit.in -o requirements/audit.txt

$(BASE): requirements/base.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Callboard needs Python 3.11 or newer.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	@touch $@

# The clients are installed as a runner has them, but from where they are written.
$(DEV): requirements/dev.txt clients/python/pyproject.toml $(BASE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --offline --no-deps --python $(BIN)/python --editable clients/python
	@touch $@

# Neither the folder nor the key is for other users of the machine to read.
$(KEY):
	@umask 077 && mkdir -p instance && $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(48))' > $@

$(AUDIT)/stamp: requirements/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
