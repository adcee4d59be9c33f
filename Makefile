# Two commands: `make demo` and `make test`. Both need only Python 3.11+, make and the package registries;
# uv, Node and the emulator are fetched, pinned, into .cache and .venv.

UV_VERSION := 0.13.9
PYTHON ?= python3
TOOLS := $(CURDIR)/.cache/tools
UV := $(TOOLS)/bin/uv

export PATH := $(TOOLS)/bin:$(PATH)
# The interpreter itself: where `python3` is a wrapper (pyenv's, say), uv would take .venv for another Python's each
# time, and make it anew.
export UV_PYTHON := $(shell $(PYTHON) -c 'import sys; print(sys.executable)')
export UV_PYTHON_DOWNLOADS := never
# A schedule of the simulation is the same wherever its seed is run.
export PYTHONHASHSEED := 0

.PHONY: help demo test check unit bench wheel clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(UV) ## Publish a sample site on the local stack; ONCE=1 checks everything and exits
	@$(UV) run --quiet --frozen --no-default-groups --group local siteferry-local demo $(if $(ONCE),--once)

test: check $(UV) ## Run every check and every test
	$(UV) run --frozen pytest $(ARGS)

check: $(UV) ## Run the linters, the type checker and the import contracts
	$(UV) run --frozen ruff format --check
	$(UV) run --frozen ruff check
	$(UV) run --frozen lint-imports --no-logo
	$(UV) run --frozen mypy

unit: $(UV) ## Run the tests that need no local stack
	$(UV) run --frozen pytest tests/unit tests/property tests/simulation tests/conformance -m "not e2e and not aws" $(ARGS)

bench: $(UV) ## Measure siteferry beside its peers (hours), and write docs/benchmarks.md
	$(UV) run --frozen python -m tests.bench all --files 100000 --peers rclone,s5cmd,awscli,s3cmd
	$(UV) run --frozen python -m tests.bench first nochange changed daemon one --files 1000000 --peers rclone
	$(UV) run --frozen python -m tests.bench nochange --files 10000 --peers rclone,s5cmd,awscli,s3cmd
	$(UV) run --frozen python -m tests.bench nochange --files 1000000 --copies 3
	$(UV) run --frozen python -m tests.bench render

wheel: $(UV) ## Build the wheel for the FTP host
	$(UV) build --wheel

clean: ## Remove what was fetched and built
	rm -rf .cache .venv dist infra/node_modules infra/cdk.out .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(UV):
	@echo "fetching uv $(UV_VERSION)"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
