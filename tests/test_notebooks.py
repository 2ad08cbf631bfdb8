"""The notebooks: clean as committed, and every one runs from top to bottom; mistakes in a table are told plainly."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import riskmodel
from riskmodel.labelled import read_labelled
from riskmodel.small_data import find_label_issues
from riskmodel.texts import cross_predict, train_texts

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SAMPLE = ROOT / "data/samples/labelled/complaints.csv"
PICTURES = {"01-explore": 5, "02-retrain": 2, "03-thresholds": 3, "04-rules": 1, "05-label-next": 2, "06-drift": 3, "07-spark": 0}
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_of(path: Path) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_all_are_there() -> None:
    assert [p.stem for p in NOTEBOOKS] == list(PICTURES)


@every
def test_committed_without_outputs(path: Path) -> None:
    for cell in code_of(path):
        assert not cell.outputs
        assert cell.execution_count is None


@every
def test_short_with_chinese_headings(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    headings = [line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines() if line.startswith("#")]
    assert len(headings) >= 3
    assert all(re.search("[一-鿿]", line) for line in headings)
    lines = [line for c in code_of(path) for line in c.source.splitlines()]
    assert len(lines) <= 160
    assert max(map(len, lines)) <= 110


@every
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Jupyter's own machinery warns of
def test_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    """In a copy, so that what a notebook writes to ``../out`` stays out of the checkout."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(path, tmp_path / "notebooks")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    told = "".join(o.text for o in outputs if o.output_type == "stream")
    assert "Glyph" not in told, "a character has no picture in the font"
    assert sum("image/png" in o.get("data", {}) for o in outputs) == PICTURES[path.stem]
    if path.stem == "07-spark":
        assert "Spark is here." in told or "do nothing: " in told


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return read_labelled(SAMPLE, group="班组")


def test_planted_label_errors_are_found(sample: pd.DataFrame) -> None:
    planted = set(pd.read_csv(SAMPLE.with_name("planted-errors.csv"))["工单号"])
    doubtful = find_label_issues(sample, group="group")
    worst = set(doubtful["id"].head(15))
    assert len(planted & set(doubtful["id"])) >= 5
    assert len(planted & worst) >= 4


def test_the_sample_is_as_its_page_says(sample: pd.DataFrame) -> None:
    planted = pd.read_csv(SAMPLE.with_name("planted-errors.csv"))
    given = sample.set_index("id")["label"]
    assert len(sample) == 150
    assert len(planted) == 6
    assert [given[i] for i in planted["工单号"]] == list(planted["写错的等级"])
    assert (planted["写错的等级"] != planted["应为"]).all()


#: What is wrong with a table, and what the message must name: the thing and the way out.
MISTAKES = {
    "a label nobody knows": (lambda f: f.assign(label=f["label"].replace("不满", "一般般")), "一般般.*40 rows.*正常/不满"),
    "a missing column": (lambda f: f.drop(columns="label"), "no column 'label'.*id, text"),
    "a class with three cases": (lambda f: f.drop(f.index[f["label"] == "疑似危机"][3:]), "疑似危机.*3 rows.*at least 10.*label more"),
    "one class only": (lambda f: f[f["label"] == "正常"], "one label.*at least two"),
    "empty texts": (lambda f: f.assign(text=["", " ", *f["text"][2:]]), "2 rows are empty in column 'text'.*drop or fill"),
    "no labels": (lambda f: f.assign(label=[None, *f["label"][1:]]), "1 rows are empty in column 'label'"),
    "the same id twice": (lambda f: f.assign(id=["HA1", "HA1", *f["id"][2:]]), "'HA1' stands 2 times.*one row a conversation"),
    "numbers for texts": (lambda f: f.assign(text=[{"a": 1}, *f["text"][1:]]), "dict in column 'text'|expected text"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("function", [cross_predict, train_texts, find_label_issues], ids=lambda f: f.__name__)
def test_mistakes_are_told_with_the_way_out(sample: pd.DataFrame, function: Any, mistake: str) -> None:
    spoil, message = MISTAKES[mistake]
    with pytest.raises(riskmodel.RiskModelError, match=message) as caught:
        function(spoil(sample))
    assert not any(words in str(caught.value) for words in sample["text"].str[:12])  # no message text in an error


def test_a_file_with_mistakes_is_told_by_line_and_column(tmp_path: Path) -> None:
    def file(text: str) -> Path:
        path = tmp_path / "own.csv"
        path.write_text(text, "utf-8")
        return path

    with pytest.raises(riskmodel.RiskModelError, match="no column 'X'"):
        read_labelled(file("工单号,会话内容,风险等级\n1,好,正常\n"), group="X")
    with pytest.raises(riskmodel.RiskModelError, match=r"column of labels.*工单号, 会话内容"):
        read_labelled(file("工单号,会话内容\n1,好\n"))
    with pytest.raises(riskmodel.RiskModelError, match=r"'1' on lines 2, 3.*one row a conversation"):
        read_labelled(file("工单号,会话内容,风险等级\n1,好,正常\n1,坏,不满\n"))


def test_a_table_of_yes_and_no_goes_all_the_way(sample: pd.DataFrame, tmp_path: Path) -> None:
    """Own column names, GB18030, two values: read, train, thresholds, the service's own check."""
    from riskmodel.policy import default_policy
    from riskmodel.thresholds import choose_thresholds
    from service.engine import self_check

    own = pd.DataFrame({"诉求内容": sample["text"], "是否升级": sample["level"].isin(["high", "critical"]).map({True: "是", False: "否"})})
    own.assign(门店=sample["group"]).to_csv(tmp_path / "own.csv", index=False, encoding="gb18030")
    frame = read_labelled(tmp_path / "own.csv", group="门店")
    assert frame.attrs["kind"] == "binary"
    result = train_texts(frame, group="group")
    self_check(riskmodel.load_model(riskmodel.save_model(result.model, tmp_path / "model")))
    costs = {"high": {"missed": 200, "false_alarm": 5}, "critical": {"missed": 2000, "false_alarm": 20}}
    chosen = choose_thresholds(result.held_out_frame(), costs=costs)
    assert list(chosen["chosen_by"]) == ["policy", "costs", "policy (no such cases)"]
    assert chosen.loc["critical", "threshold"] == default_policy().thresholds[2]
