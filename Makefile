# A bare checkout, Python 3.11 to 3.13 and GNU make 3.81 or later are enough for each target:
# what is missing is set up in .venv first, with the versions and hashes of requirements/.
# PYTHON=python3.12 picks the Python.

VENV = .venv
REQUIREMENTS = requirements/dev.txt
BIN = $(VENV)/bin

.PHONY: help demo test lint bench chaos docs lock clean venv

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F '|' '{ printf "make %-6s %s\n", $$1, $$2 }'

demo: venv ## three shards, their replicas and MongoDB on this machine, and what they do
	@$(BIN)/elearning demo

test: venv ## all tests and their coverage, or some: make test PYTEST_ARGS='-k claims'
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(if $(PYTEST_ARGS),$(PYTEST_ARGS),--numprocesses 3 --dist loadfile --no-loadscope-reorder)
	@$(BIN)/coverage combine --quiet
	@if [ -z "$$PYTEST_ARGS" ]; then $(BIN)/coverage report; fi

lint: venv ## style, types, layers and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.migrations.squawk

bench: venv ## the benchmarks
	@$(BIN)/python -m benchmarks

chaos: venv ## the campaigns of faults in full; make test runs short forms of them
	ELEARNING_CHAOS=full $(BIN)/python -m pytest tests/campaigns \
		tests/routing/fanout/test_comparison.py tests/migrations/test_kill.py $(PYTEST_ARGS)

docs: venv ## the documentation
	@$(BIN)/python docs/build.py

lock: venv ## requirements/*.txt anew: make lock LOCK_ARGS=--upgrade
	@UV=$(BIN)/uv sh requirements/compile.sh $(LOCK_ARGS)

clean: ## remove what the other targets made, but not the databases in .elearning
	rm -rf .venv .venv-* .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf .import_linter_cache build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@sh requirements/venv.sh '$(VENV)' '$(REQUIREMENTS)'
