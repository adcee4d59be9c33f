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
# The releases of Debian that the .deb is tested on, and what is on a host of them before it comes.
DEBIANS := .cache/debian/bookworm .cache/debian/trixie
DEBIAN_PACKAGES := bash-completion,ca-certificates,dbus,man-db,python3,systemd-sysv
# A schedule of the simulation is the same wherever its seed is run.
export PYTHONHASHSEED := 0

.PHONY: help demo test check unit browser ftp-servers debian docs bench wheel deb clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: $(UV) ## Publish a sample site on the local stack; ONCE=1 checks everything and exits
	@$(UV) run --quiet --frozen --no-default-groups --group local siteferry-local demo $(if $(ONCE),--once)

test: check $(UV) ## Run every check and every test
	$(UV) run --frozen pytest -n auto $(ARGS)

check: $(UV) ## Run the linters, the type checker and the import contracts
	$(UV) run --frozen ruff format --check
	$(UV) run --frozen ruff check
	$(UV) run --frozen lint-imports --no-logo
	$(UV) run --frozen mypy
	$(UV) run --frozen node --check lambdas/siteferry_lambdas/directory_page.js

unit: $(UV) ## Run the tests that need no local stack
	$(UV) run --frozen pytest tests/unit tests/property tests/simulation tests/contract_history tests/conformance tests/browser tests/docs tests/ftp -m "not e2e and not aws" $(ARGS)

browser: $(UV) ## Install what tests/browser needs, if it is not there: Debian's package as root, or Playwright's
	@for name in chromium-headless-shell chromium google-chrome; do command -v $$name && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq --no-install-recommends chromium-headless-shell fonts-liberation > /dev/null; \
	then command -v chromium-headless-shell; \
	else $(UV) run --frozen playwright install --only-shell chromium; fi

ftp-servers: $(UV) ## Unpack the FTP servers that tests/ftp needs, if they are not there, where apt is
	@$(UV) run --quiet --frozen python -m tests.ftp.packages

debian: $(DEBIANS) ## Make the Debian trees that tests/e2e/test_debian.py installs the package in; as root
.cache/debian/%:
	@command -v debootstrap > /dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debootstrap > /dev/null; }
	@rm -rf $@.new && mkdir -p $(@D) && echo "making $@"
	@debootstrap --variant=minbase --include=$(DEBIAN_PACKAGES) $* $@.new > $@.log || { tail $@.log; exit 1; }
	@rm -rf $@.new/var/cache/apt/archives/*.deb && mv $@.new $@

docs: $(UV) ## Write docs/reference from the code, and build the docs site: .cache/site/index.html
	$(UV) run --frozen python -m tests.docs reference
	$(UV) run --frozen python -m tests.docs site

bench: $(UV) ## Measure siteferry beside its peers (hours), and write docs/benchmarks.md
	$(UV) run --frozen python -m tests.bench all --files 100000 --peers rclone,s5cmd,awscli,s3cmd
	$(UV) run --frozen python -m tests.bench first nochange changed daemon one --files 1000000 --peers rclone
	$(UV) run --frozen python -m tests.bench nochange restore again --files 10000 --peers rclone,s5cmd,awscli,s3cmd
	$(UV) run --frozen python -m tests.bench nochange --files 1000000 --copies 3
	$(UV) run --frozen python -m tests.bench render

wheel: $(UV) ## Build the wheel for the FTP host
	$(UV) build --wheel

deb: $(UV) ## Build the .deb for the FTP host
	$(UV) run --quiet --frozen --no-default-groups --group packaging python -m siteferry_packaging

clean: ## Remove what was fetched and built
	rm -rf .cache .venv dist infra/node_modules infra/cdk.out .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(UV):
	@echo "fetching uv $(UV_VERSION)"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
