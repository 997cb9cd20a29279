# Shorthand for dev.py, which does the work: `make up` is `python3 dev.py up`.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help up down test check fmt bench conformance clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST)

up: ## start the gateway with everything it needs (Ctrl-C ends it)
	@$(PYTHON) dev.py up

down: ## stop a stack that was started with --detach
	@$(PYTHON) dev.py down

test: ## run the checks and all tests
	@$(PYTHON) dev.py test

check: ## run ruff, pyright and import-linter
	@$(PYTHON) dev.py check

fmt: ## format the code
	@$(PYTHON) dev.py fmt

bench: ## measure
	@$(PYTHON) dev.py bench

conformance: ## the SDKs' own tests through the gateway
	@$(PYTHON) dev.py conformance

clean: ## stop, then remove what was installed and stored here
	@$(PYTHON) dev.py clean
