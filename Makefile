# make demo    run the demo in the foreground; Ctrl-C stops it
# make test    everything: style, types, layers, and all tests
# make check   what to run before each commit, under a minute
# make docs    the site of the documentation, in build/docs; a warning or a dead link is an error
# make built   make anew what is built from code and committed: dashboards/out and parts of docs
# make chaos   a minute of chaos over a hundred workers; CIRCUS_CHAOS_SEED=SEED repeats one
# make bench   the benchmarks, as a table of targets and what was measured
# make bench-peers  Circus beside circus 0.19, supervisor, runit and s6: about 25 minutes; PEERS=--quick for less
# make clean   remove what this file made
#
# Needs python3 (3.11 or newer) and nothing else. PYTHON and VENV may be given: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
COMPAT := $(VENV)-compat-0.19
SUPERVISOR := $(VENV)-supervisor
PEER := $(VENV)-peer

# Most tests wait for processes most of the time, so three at once; a file stays together for what it shares. What fails
# beside two others is run once more by itself: real servers and processes share the cores, and a fault fails both times.
PYTEST ?= -n 3 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := circus exporters tests examples docs dashboards

# A pip.conf that asks for --user must not reach into the environments.
export PIP_USER := 0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint docs chaos bench bench-peers clean format servers

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.demo
	@exec $(BIN)/python examples/demo/run.py

test: lint docs $(COMPAT)/.ready $(SUPERVISOR)/.ready servers
	CIRCUS_COMPAT_VENV=$(abspath $(COMPAT)) CIRCUS_SUPERVISOR_VENV=$(abspath $(SUPERVISOR)) && \
	export CIRCUS_COMPAT_VENV CIRCUS_SUPERVISOR_VENV && \
	{ $(BIN)/pytest $(PYTEST) || $(BIN)/pytest --last-failed --last-failed-no-failures none; }

check: lint
	$(BIN)/pytest -q tests/unit tests/architecture

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: $(VENV)/.dev
	@tools/need.sh dot graphviz
	$(BIN)/python -m sphinx --quiet --fresh-env --nitpicky --fail-on-warning --builder html docs build/docs

chaos: $(VENV)/.dev
	CIRCUS_CHAOS_SECONDS=$${CIRCUS_CHAOS_SECONDS:-60} $(BIN)/pytest -s tests/integration/test_chaos.py

built: $(VENV)/.dev
	$(BIN)/python -m dashboards.build
	$(BIN)/python docs/build.py

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks $(BENCH)

# Each in an environment of its own, ours installed as a user has it; on a quiet machine, because all of it is time.
bench-peers: $(VENV)/.dev $(COMPAT)/.ready $(SUPERVISOR)/.ready $(PEER)/.venv
	@$(PEER)/bin/python -m pip --quiet --disable-pip-version-check install --upgrade --force-reinstall --no-deps .
	@tools/need.sh cc gcc
	@tools/need.sh runsvdir runit
	@tools/need.sh s6-svscan s6
	$(BIN)/python -m tests.benchmarks.peers --circus $(PEER)/bin --circus-0.19 $(COMPAT)/bin \
		--supervisor $(SUPERVISOR)/bin --json .peers.json $(PEERS)

# The real components that the tests start.
servers:
	@tools/need.sh prometheus prometheus
	@tools/need.sh /usr/bin/prometheus-alertmanager prometheus-alertmanager
	@tools/need.sh openssl openssl
	@tools/need.sh zsh zsh
	@tools/need.sh fish fish
	@tools/need.sh /usr/sbin/sshd openssh-server
	@tools/need.sh ssh openssh-client
	@tools/need.sh redis-server redis-server
	@tools/need.sh faketime faketime
	@tools/need.sh ip iproute2
	@tools/need.sh /lib/systemd/systemd systemd

clean:
	rm -rf $(VENV) $(COMPAT) $(SUPERVISOR) $(PEER) .peers.json .demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What is installed, and what it depends on. A second run finds the stamps newer than pyproject.toml and does nothing.

$(VENV)/.venv: tools/make-venv.sh
	@tools/make-venv.sh $(VENV) $(PYTHON)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml
	@echo "installing circus into $(VENV) ..."
	@$(PIP) install --editable '.[demo]'
	@touch $@

# Not every pip reads [dependency-groups], so Python hands it the list.
$(VENV)/.dev: $(VENV)/.demo pyproject.toml
	@echo "installing what the tests need into $(VENV) ..."
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' >$(VENV)/dev.txt
	@$(PIP) install --requirement $(VENV)/dev.txt
	@touch $@

$(COMPAT)/.ready: tools/make-venv.sh
	@echo "installing circus 0.19.0, whose clients are tested against our daemon, into $(COMPAT) ..."
	@tools/make-venv.sh $(COMPAT) $(PYTHON)
	@$(COMPAT)/bin/python -m pip --quiet --disable-pip-version-check install 'circus==0.19.0'
	@touch $@

$(SUPERVISOR)/.ready: tools/make-venv.sh
	@echo "installing supervisor, whose configurations are converted and which is measured beside us, into $(SUPERVISOR) ..."
	@tools/make-venv.sh $(SUPERVISOR) $(PYTHON)
	@$(SUPERVISOR)/bin/python -m pip --quiet --disable-pip-version-check install 'supervisor==4.3.0'
	@touch $@

# With what it depends on; circus itself is installed anew before each run.
$(PEER)/.venv: tools/make-venv.sh pyproject.toml
	@echo "installing circus into $(PEER) ..."
	@tools/make-venv.sh $(PEER) $(PYTHON)
	@$(PEER)/bin/python -m pip --quiet --disable-pip-version-check install .
	@touch $@
