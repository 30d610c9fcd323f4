# One verb per thing to do. Everything lives in .venv; nothing but make and Python 3.11 or later is needed.
#
#   make run          the gateway on http://127.0.0.1:8080 with the built-in demo provider
#   make install      what it needs, into .venv, and make native: then .venv/bin/penstock is the program
#   make native       the hot path as machine code, where there is a C compiler: half the processor time per request
#   make test         every test, on every core; those of pages need Chromium
#   make chaos        kills, outages and misbehaving providers for STORM_S seconds each, 120 unless told
#   make test-clients real programs (Claude Code, Codex, Gemini CLI) and libraries, from npm in .clients, against a gateway on loopback
#   make check        format, lint, types, import contracts
#   make docs         links, code blocks and reference tables of the documentation
#   make bench        the figures, beside nginx (needs nginx and wrk); QUICK=1 for a shorter run
#   make bench-peers  the same for other gateways, installed from their registries
#   make format       format and apply the safe fixes
#   make lock         compile requirements*.lock anew; UPGRADE=1 takes the newest versions
#
# PYTHON=/path/to/python picks the interpreter that .venv is made with.

VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .clients
UV_VERSION := 0.13.9
UV = $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do $$p -c '$(ENOUGH)' 2>/dev/null && echo $$p && exit; done; echo python3)
COMPILE = $(UV) pip compile --quiet pyproject.toml --group build --universal --generate-hashes --no-header --no-annotate \
	--python-version 3.11 $(if $(UPGRADE),--upgrade)

NATIVE_TESTS := tests/test_native.py tests/walk tests/relay tests/chaos tests/upstream/client tests/upstream/wires $(wildcard tests/billing/test_books*.py) tests/billing/test_holds.py
CHROMIUM := $(shell command -v chromium 2>/dev/null || command -v chromium-browser 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: run install native test test-native test-clients chaos check docs bench bench-peers format lock

run: $(VENV)/.run
	@$(BIN)/penstock serve --demo

install: native
	@$(BIN)/penstock version

native: $(VENV)/.native
	@$(BIN)/python native/build.py || [ $$? -eq 3 ]

test: $(VENV)/.dev
	$(if $(CHROMIUM),,@echo "No Chromium, so the tests of pages are left out; on Debian and Ubuntu: apt-get install chromium" >&2)
	PENSTOCK_NATIVE=0 $(BIN)/pytest -n auto $(if $(CHROMIUM),,--ignore=tests/browser)
	@$(MAKE) --no-print-directory test-native

test-native: $(VENV)/.dev
	@$(BIN)/python native/build.py; case $$? in \
	0) echo "PENSTOCK_NATIVE=1 pytest -n auto $(NATIVE_TESTS)"; PENSTOCK_NATIVE=1 $(BIN)/pytest -n auto $(NATIVE_TESTS);; \
	3) echo "So the tests of the compiled hot path are left out" >&2;; \
	*) exit 1;; esac

test-clients: $(VENV)/.dev $(CLIENTS)/.installed
	$(BIN)/pytest -p no:randomly tests/clients

chaos: $(VENV)/.dev
	STORM_S=$(or $(STORM_S),120) $(BIN)/pytest -s -p no:randomly tests/chaos

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/pytest -q tests/house -k docs

bench: native
	$(BIN)/python bench/run.py $(if $(QUICK),--quick)

bench-peers: native
	$(BIN)/python bench/run.py --peers $(if $(QUICK),--quick)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.uv
	$(COMPILE) -o requirements.lock
	$(COMPILE) --group dev --extra otel -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --group native -c requirements-dev.lock -o requirements-native.lock

# .uv: an environment and a uv to fill it with. .run, .native and .dev: what the program, compiling it, or its tests need is installed.

$(VENV)/.uv:
	@$(PYTHON) -c '$(ENOUGH)' 2>/dev/null || { echo "Penstock needs Python 3.11 or later; '$(PYTHON)' is not. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if command -v uv >/dev/null; then [ -x $(BIN)/python ] || uv venv --quiet --python "$(PYTHON)" $(VENV); \
	else [ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "'$(PYTHON)' lacks its venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	[ -x $(BIN)/uv ] || $(BIN)/pip install --quiet uv==$(UV_VERSION); fi
	@touch $@

$(VENV)/.run: requirements.lock pyproject.toml $(VENV)/.uv
	@echo "Installing Penstock into $(VENV)" >&2
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing what tests and checks need" >&2
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.native: requirements-native.lock $(VENV)/.run
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-native.lock
	@touch $@

$(CLIENTS)/.installed: tests/clients/package.json
	@command -v npm >/dev/null || { echo "The clients are installed with npm; on Debian and Ubuntu: apt-get install npm" >&2; exit 1; }
	@echo "Installing clients into $(CLIENTS)" >&2
	@mkdir -p $(CLIENTS)
	@cp tests/clients/package.json $(CLIENTS)/package.json
	@npm install --prefix $(CLIENTS) --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error
	@node $(CLIENTS)/node_modules/@anthropic-ai/claude-code/install.cjs
	@touch $@
