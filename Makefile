# Two commands do everything: `make score` runs the main job, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: score test check model evaluate serve notebooks clean

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
	$(BIN)/riskmodel train data/cases/*.jsonl --splits data/splits.toml -o riskmodel/resources/model

evaluate: $(VENV)/.tested ## results on the test authors, beside a keyword list and plain TF-IDF
	$(BIN)/riskmodel evaluate --corpus data -o out/metrics.json

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

clean: ## remove the environment and what runs left
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache
