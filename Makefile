# Two commands do everything: `make score` runs the main job, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: score test check model evaluate robustness serve notebooks constraints sbom licences offline clean

score: $(VENV)/.installed ## install, score the sample exports, show the riskiest, leave out/scored.jsonl and out/report.html
	@mkdir -p out
	$(BIN)/riskmodel score data/samples/*.* -o out/scored.jsonl --table $(ARGS)
	$(BIN)/riskmodel report out/scored.jsonl $(foreach f,$(wildcard data/samples/*.*),--transcripts $(f)) -o out/report.html

test: $(VENV)/.tested ## install what the tests need, and pass them
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.tested ## style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

model: $(VENV)/.tested ## train the default model from data/ again
	$(BIN)/riskmodel train data/cases/*.jsonl --splits data/splits.toml --jobs 2 -o riskmodel/resources/model

evaluate: $(VENV)/.tested ## results on the test authors, beside a keyword list and plain TF-IDF
	$(BIN)/riskmodel evaluate --corpus data -o out/metrics.json

robustness: $(VENV)/.tested ## recall lost when the same is said otherwise, and fairness, into docs/robustness.md
	$(BIN)/python -m tests.robustness --held-out out/held --write docs/robustness.md

serve: $(VENV)/.tested ## the HTTP service and the review page on http://127.0.0.1:8000
	$(BIN)/uvicorn service.app:create_app --factory --host 127.0.0.1 --port 8000

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[excel,parquet]'
	@touch $@

$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.notebooks: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[notebooks]'
	@touch $@ $(VENV)/.installed

notebooks: $(VENV)/.notebooks ## Jupyter with the analysts' notebooks
	$(BIN)/jupyter lab --notebook-dir . --LabApp.default_url=/lab/tree/notebooks/01-explore.ipynb $(ARGS)

# -- supply chain: what is installed, from what, under which licence --

TOOLS := .tools
EXTRAS := --extra excel --extra parquet --extra service
RESOLVE := $(TOOLS)/bin/uv pip compile pyproject.toml $(EXTRAS) --python-version 3.11 --no-header --no-annotate --quiet

$(TOOLS)/.installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv cyclonedx-bom pip-licenses build hatchling
	@touch $@

constraints: $(TOOLS)/.installed ## resolve the oldest and newest versions that are allowed, and lock the newest with digests
	$(RESOLVE) --resolution lowest-direct | sed '1i # The oldest versions that pyproject.toml allows, of what it names; of the rest what they resolve to. Python 3.11.\n# Made by: make constraints' > constraints/minimum.txt
	$(RESOLVE) | sed '1i # The newest versions when last resolved. Python 3.11 to 3.13.\n# Made by: make constraints' > constraints/newest.txt
	$(RESOLVE) --generate-hashes | sed '1i # Every package with its digests, for: pip install --require-hashes -r constraints/lock.txt\n# Made by: make constraints' > constraints/lock.txt

$(TOOLS)/locked: constraints/lock.txt | $(TOOLS)/.installed
	rm -rf $@ && $(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/lock.txt
	$@/bin/python -m pip check

sbom: $(TOOLS)/locked ## constraints/sbom.json (CycloneDX) of the locked versions
	$(TOOLS)/bin/cyclonedx-py environment $(TOOLS)/locked/bin/python --pyproject pyproject.toml --output-reproducible --of JSON -o constraints/sbom.json

licences: $(TOOLS)/locked ## list the licences of the locked versions
	$(TOOLS)/bin/pip-licenses --python $(TOOLS)/locked/bin/python --from mixed --format markdown --ignore-packages pip setuptools wheel

offline: $(TOOLS)/.installed ## build sdist and wheel, install from wheels alone in a fresh environment, score there
	rm -rf $(TOOLS)/dist $(TOOLS)/wheels $(TOOLS)/fresh
	$(TOOLS)/bin/python -m build --no-isolation --outdir $(TOOLS)/dist .
	$(TOOLS)/bin/python -m pip wheel --quiet --wheel-dir $(TOOLS)/wheels --require-hashes -r constraints/lock.txt
	$(PYTHON) -m venv $(TOOLS)/fresh
	$(TOOLS)/fresh/bin/python -m pip install --quiet --no-index --find-links $(TOOLS)/wheels --find-links $(TOOLS)/dist 'riskmodel[excel,parquet]'
	cd $(TOOLS) && fresh/bin/riskmodel score ../data/samples/chats.xlsx -o fresh/scored.jsonl --table

clean: ## remove the environment and what runs left
	rm -rf $(VENV) $(TOOLS) out .pytest_cache .mypy_cache .ruff_cache
