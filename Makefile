# `make demo` runs the whole flow in the sandbox; `make test` sets up and runs the tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A fresh machine may lack these; they are installed by name, from the mirror that apt is configured with.
TOOLS := bwrap:bubblewrap mmdebstrap:mmdebstrap nft:nftables ip:iproute2 gpg:gnupg gpgv:gpgv

# Most tests wait for processes that they started; a file stays on one worker, and so does its sandbox.
# In the order of their folders, the flow, which takes longest, begins first.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: accuracy bench check demo test test-all lint format setup tools requirements down clean

demo: check tools setup  ## the main job, end to end, on this machine
	@$(BIN)/dmz run

test: check tools setup lint  ## what .ci/run calls
	@$(BIN)/pytest -m "not slow" $(PARALLEL)

test-all: check tools setup lint  ## also what takes longer
	@$(BIN)/pytest $(PARALLEL)

accuracy: setup  ## how right screening is, on labelled versions
	@$(BIN)/python -m tests.accuracy

bench: check setup .venv-bench/.done  ## how fast screening, resolution and the copy are, beside what else there is
	@$(BIN)/python -m bench.screening
	@$(BIN)/python -m bench.resolution
	@$(BIN)/python -m bench.planning
	@$(BIN)/python -m bench.schedule
	@$(BIN)/python -m bench.transfer

.venv-bench/.done: bench/requirements.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

lint: setup  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

setup: $(VENV)/.done

$(VENV)/.done: requirements.txt pyproject.toml
	@scripts/setup $(PYTHON) $(VENV)
	@touch $@

check:
	@scripts/check $(MAKECMDGOALS)

tools: check
	@scripts/tools $(TOOLS)

requirements: setup  ## pin anew, with hashes
	@$(BIN)/uv pip compile -q --upgrade --no-header --python-version 3.11 --generate-hashes --extra dev pyproject.toml -o requirements.txt

down: setup  ## stop the sandbox: no process, namespace, mount or rule stays
	@$(BIN)/dmz sandbox down

clean: down
	@rm -rf .sandbox .bench .venv-bench $(VENV)
