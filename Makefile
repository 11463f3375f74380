# Thin: each target is what a person could type. Everything lands in .venv and in the caches that `make clean` names.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

install: ## system packages (asks the package manager for what is missing) and the virtual environment
	@provision/install.sh

up: install ## the lab: nodes, plugin, migration, pods, verification
	@$(BIN)/envctl up

down: ## remove the lab; nothing is left
	@$(BIN)/envctl down

test: install-test install-docs ## lint, types, unit ring, lab ring, acceptance suite against a lab
	@$(BIN)/python -m pytest tests/unit tests/lab tests/docs

install-test: install ## what the tests need besides: other DHCP servers (installed, not started), shellcheck
	@QUIET_SERVICES=1 PACKAGES=provision/packages.test provision/install.sh

install-docs: install ## what the site and the tests of pictures need: Graphviz, a browser, the generator
	@PACKAGES=provision/packages.docs provision/install.sh
	@$(BIN)/python -c 'import furo, myst_parser' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'

docs: install-docs ## the documentation as a site, in ./site; strict: a dead link or a lost page fails
	@$(BIN)/python -m sphinx -E -W --keep-going -q -b html -d build/docs docs site
	@echo site/index.html

install-vm: install ## what virtual machines need: hypervisor, Vagrant, the tools that make a box
	@PACKAGES=provision/packages.vm provision/install.sh

box: install-vm ## the debian12 box, from the Debian package index alone; cached by content
	@$(BIN)/envctl box build

test-vm: install-vm ## a real machine: Vagrant, kubeadm, kubelet, migration, acceptance, power cuts (a quarter of an hour on an idle machine)
	@$(BIN)/python -m pytest tests/vm --ignore tests/vm/stories -x

test-stories: install-vm install-docs ## on a real machine too: symptoms, captures, the report, the page (three quarters of an hour)
	@$(BIN)/python -m pytest tests/vm/stories -x

bench: install-test ## figures against the reference plugins, side by side: a table, bench.json and a plot
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@$(BIN)/python -m tests.bench

fuzz: install ## coverage-guided fuzzing of what reads from the LAN and from the runtime, a minute each
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@for target in message request; do
	    mkdir -p build/fuzz/$$target
	    $(BIN)/python -m tests.fuzz.fuzz_$$target -max_total_time=60 -verbosity=0 -artifact_prefix=build/fuzz/ \
	        build/fuzz/$$target tests/fuzz/corpus/$$target
	done

clean: ## remove the virtual environment and what was built
	@rm -rf $(VENV) build dist site plugin/build *.egg-info plugin/*.egg-info

.PHONY: help install up down test install-test docs install-docs install-vm box test-vm test-stories bench fuzz clean
