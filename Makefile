# `make demo` and `make test` need python3 (3.11 or 3.12) and nothing else: both make their own virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint constraints audit

demo: $(STAMP)
	rm -rf demo-output
	$(BIN)/balto label data/sample/corpus.jsonl --tokenizer data/sample/tokenizer.json --out demo-output/labels
	$(BIN)/balto stats demo-output/labels
	$(BIN)/balto score demo-output/labels
	$(BIN)/balto report demo-output/labels --out demo-output/report.html
	$(BIN)/python -m benchmarks.make_tiny_policy --out demo-output/policy
	$(BIN)/balto train demo-output/labels --model demo-output/policy --out demo-output/run --epochs 6 --groups-per-step 5 \
		--lr 0.003 --save-every 0 --eval-every 0 --workers 0
	@echo "A whole round on a small made-up world, whose model is trained already and invents: scores before and after"
	$(BIN)/python -m benchmarks.objectives.world_round --out demo-output/round
	@echo "All of it is in demo-output: report.html opens in a browser; next: balto show demo-output/labels --worst"

test: lint
	$(BIN)/pytest

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error

# Every package at the version that the tests ran with (an unpinned torch would bring gigabytes of CUDA packages).
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $(STAMP)

# Write constraints.txt again from what is installed, after a deliberate upgrade.
constraints:
	$(BIN)/pip freeze --exclude-editable --exclude balto | sed 's/+cpu$$//' > constraints.txt

# Known holes of the pinned versions, from the public advisory service: needs a network, so it is no part of `make test`.
audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt
