# The developer commands, each once. They use the environment that `make install` creates; `make PYTHON=... lint` another.
PYTHON ?= .venv/bin/python
# How `make docs` treats notebooks: cache (run those whose code is new), force (run all), off (run none).
NOTEBOOKS ?= cache
PORT ?= 8000

.PHONY: install test long lint format types docs serve links benchmarks clean

install:  ## create .venv and install the package in place with everything a developer needs
	python3 -m venv .venv && .venv/bin/pip install -e ".[test,docs]"

test:  ## the whole suite, doctests of the library included
	$(PYTHON) -m pytest

long:  ## the tests that take minutes: thirty kills, long fuzzing
	$(PYTHON) -m pytest -m long

lint:  ## what ruff finds, and whether everything is formatted
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:  ## mend what ruff can mend by itself
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types:  ## static types of the library
	$(PYTHON) -m mypy

docs:  ## the HTML documentation in docs/_build/html, notebooks run in full; a warning is an error
	$(PYTHON) -m sphinx -q -W --keep-going -D nb_execution_mode=$(NOTEBOOKS) docs docs/_build/html

serve:  ## show docs/_build/html at http://localhost:8000
	$(PYTHON) -m http.server --bind 127.0.0.1 --directory docs/_build/html $(PORT)

links:  ## whether the links to other sites lead somewhere; needs a network
	$(PYTHON) -m sphinx -q -b linkcheck -D nb_execution_mode=off docs docs/_build/links

benchmarks:  ## every benchmark, one after the other, and the tables of docs/benchmarks.md
	$(PYTHON) benchmarks/run_all.py

clean:  ## remove what the commands above leave, the environment excepted
	rm -rf build dist *.egg-info docs/_build .pytest_cache .mypy_cache .ruff_cache
