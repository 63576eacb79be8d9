# The commands of this repository. They need Python 3.11 or newer and the package index; `make test`
# needs npm's registry as well, and has its Node.js from the package index.
.DEFAULT_GOAL := help
BIN := .venv/bin
# `make coverage` has run the pure ones. More than half of the time of all others is waiting, so they
# have four workers more than there are cores, and a few that need both cores come last, one after the
# other: those that are marked `alone`. To rewrite the assertions of all tests takes 13 s of a
# processor, once in a checkout: it is done beside the pure tests.
PURE := tests/core tests/schemas tests/wire
# Some names of tests come from sets: so that they are the same in each run, one hash seed.
SHARED := PYTHONHASHSEED=0 $(BIN)/pytest --workers
NOT_PURE := $(addprefix --ignore=,$(PURE))
# Without its bytecode a program takes seconds to start, and the tests start many.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

serve: .venv/server ## serve the API on http://127.0.0.1:8000, with the default model
	@scripts/console & $(BIN)/antiphon serve

console: .venv/server ## build the Console, which `make serve` does beside the server
	@scripts/console || { cat .cache/console.log >&2; exit 1; }

package: .venv/server ## the wheel and the source distribution, with the Console
	@scripts/package

test: .venv/dev ## every test, with the real model and real servers
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@mkdir -p .cache
	@$(BIN)/pytest --collect-only -qq $(NOT_PURE) >.cache/collected.log 2>&1 & \
		$(MAKE) --no-print-directory coverage && wait
	@$(SHARED) 6 $(NOT_PURE)
endif

coverage: .venv/dev ## the pure layers alone; fails below full coverage of lines and branches
	@$(BIN)/coverage erase
	@COVERAGE_PROCESS_START=pyproject.toml $(SHARED) 2 -q $(PURE)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --skip-covered --fail-under=100 \
		--include='src/antiphon/core/*,src/antiphon/schemas/*,src/antiphon/wire/*'

coverage-table: .venv/dev ## rewrite docs/reference/coverage.md from the marks of the tests
	@cd tests && ../$(BIN)/python -m support.surface $(ARGS)

template-table: .venv/dev ## rewrite docs/reference/templates.md from llama.cpp's templates
	@cd tests && ../$(BIN)/python -m support.template_table

metric-table: .venv/dev ## rewrite docs/reference/metrics.md from the server's metrics
	@cd tests && ../$(BIN)/python -m support.metric_table

typescript-types: .venv/dev ## rewrite types and prices of sdk/typescript from the server's
	@cd tests && ../$(BIN)/python -m support.typescript_types && ../$(BIN)/python -m support.typescript_prices

docs: .venv/dev ## the documentation as a site, in build/docs/site
	@$(BIN)/python scripts/docs_site.py build/docs

soak: .venv/dev ## tests that take minutes, fetch what is newest, or try at random
	@$(BIN)/pytest -m "soak or hypothesis" --hypothesis-profile=soak -o faulthandler_timeout=0 $(ARGS)

simulate: .venv/dev ## the platform under faults, in simulated time; SEED= SCENARIO=
	@cd tests && ../$(BIN)/python -m simulation \
		$(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(SCENARIO),--scenario $(SCENARIO))

check: .venv/dev ## lint, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

format: .venv/dev ## rewrite the code in the one format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: .venv/dev ## what is measured, side by side; prints medians and ratios
	@$(BIN)/python -m benchmarks.run

screenshots: .venv/dev ## every page of the Console, in build/screenshots; needs Chromium
	@cd tests && ../$(BIN)/python -m console.screenshots ../build/screenshots

picture: .venv/dev ## the picture of the Console in the README; needs Chromium
	@cd tests && ../$(BIN)/python -m console.picture ../docs/images

lock: ## renew the lock files (needs uv)
	@scripts/lock

.venv/server: requirements/server.lock pyproject.toml
	@if [ ! -e .venv/dev ]; then scripts/environment requirements/server.lock; fi
	@touch $@

.venv/dev: requirements/dev.lock pyproject.toml
	@scripts/environment requirements/dev.lock
	@touch $@ .venv/server

.PHONY: help serve console package test coverage coverage-table template-table metric-table typescript-types docs soak simulate check format bench screenshots picture lock
