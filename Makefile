# `make demo` and `make test` set up all they need, in .venv, on any machine with Python 3.10 or newer.
# PYTHON=/path/to/python3 chooses the Python.

VENV = .venv
# What `make demo` runs, by the Python of the virtualenv.
DEMO = -m jobcluster.demo

python = $(VENV)/bin/python
# What a virtualenv is made from: newer than its stamp, and it is brought up to date.
sources = setup.py pyproject.toml tools/venv.sh

.PHONY: help
help:
	@echo 'make demo    a balancer and three nodes, some dozens of jobs, and a kill -9 in the middle'
	@echo 'make test    every check that there is, as CI runs them'
	@echo 'make trial   the unit tests alone, under trial'
	@echo 'make lint    ruff'
	@echo 'make format  ruff, mending what it can'
	@echo 'make types   mypy'
	@echo 'make docs    the pages of docs as HTML, in docs/_build/html'
	@echo 'make venv    the virtualenv of development, in $(VENV)'
	@echo 'make clean   remove what was built, the virtualenv too'

.PHONY: demo
demo: $(VENV)/.runtime
	@$(python) $(DEMO)

.PHONY: test
test: $(VENV)/.dev
	@tools/check.sh $(python)

.PHONY: trial
trial: $(VENV)/.dev
	@$(python) -m twisted.trial tests

.PHONY: lint
lint: $(VENV)/.dev
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

.PHONY: format
format: $(VENV)/.dev
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

.PHONY: types
types: $(VENV)/.dev
	@$(python) -m mypy

.PHONY: docs
docs: $(VENV)/.dev
	@$(python) -m sphinx -q -W --keep-going -b doctest docs docs/_build/doctest
	@$(python) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

.PHONY: venv
venv: $(VENV)/.dev

$(VENV)/.runtime: $(sources)
	@tools/venv.sh $(VENV)
	@touch $@

# The one for development serves the demo too.
$(VENV)/.dev: $(sources)
	@tools/venv.sh $(VENV) dev
	@touch $@ $(VENV)/.runtime

.PHONY: clean
clean:
	rm -rf $(VENV) .nox build dist docs/_build *.egg-info htmlcov _trial_temp* .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache twisted/plugins/dropin.cache
	find jobcluster tests tools twisted -name __pycache__ -type d -prune -exec rm -rf {} +
