"""Files in, files out: order, processes, resume, every ending, and the command line's exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import riskmodel
from riskmodel.batch import score_file, score_lines
from riskmodel.cases import Case

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def cli(*args: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from riskmodel.cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, input=input, encoding="utf-8")


@pytest.fixture(scope="module")
def conversations(corpus: list[Case]) -> list[riskmodel.Conversation]:
    return [c.conversation for c in corpus if c.level is not None][:1_200]


def test_processes_give_the_same_lines_in_the_same_order(model: riskmodel.RiskModel, conversations: list[riskmodel.Conversation]) -> None:
    alone = list(score_lines(conversations, model))
    assert list(score_lines(conversations, model, jobs=2)) == alone
    assert [json.loads(line)["id"] for line in alone] == [c.id for c in conversations]


def test_resume_equals_an_uninterrupted_run(model: riskmodel.RiskModel, conversations: list[riskmodel.Conversation], tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    score_file(conversations, whole, model)
    lines = whole.read_bytes().splitlines(keepends=True)
    torn = tmp_path / ".again.jsonl.part"
    torn.write_bytes(b"".join(lines[:700]) + lines[700][:40])
    summary = score_file(conversations, tmp_path / "again.jsonl", model, resume=True)
    assert (tmp_path / "again.jsonl").read_bytes() == whole.read_bytes()
    assert summary.resumed == 700
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", "json"])
def test_every_ending(model: riskmodel.RiskModel, conversations: list[riskmodel.Conversation], tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"scored.{ending}"
    score_file(conversations[:50], out, model)
    frame = {"csv": pd.read_csv, "xlsx": pd.read_excel, "parquet": pd.read_parquet, "json": pd.read_json}[ending](out)
    assert len(frame) == 50
    assert set(frame["level"]) <= {"none", "low", "high", "critical"}


def test_formulas_do_not_reach_a_spreadsheet(model: riskmodel.RiskModel, tmp_path: Path) -> None:
    c = riskmodel.Conversation.from_dict({"id": "=1+1", "turns": [{"speaker": "customer", "text": "你好"}]})
    score_file([c], tmp_path / "x.csv", model)
    assert "'=1+1" in (tmp_path / "x.csv").read_text("utf-8-sig")


def test_unknown_ending(model: riskmodel.RiskModel, tmp_path: Path) -> None:
    with pytest.raises(riskmodel.RiskModelError, match="jsonl"):
        score_file([], tmp_path / "x.doc", model)


def test_samples_on_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    done = cli("score", *sorted(p for p in SAMPLES.iterdir() if p.is_file()), "-o", out, "--table", "--lang", "zh")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert {"none", "high"} <= {r["level"] for r in rows}
    assert "升级风险" in done.stdout


def test_standard_input_to_standard_output(model: riskmodel.RiskModel) -> None:
    row = {"id": "c1", "turns": [{"speaker": "customer", "text": "再不退款我就打12315"}]}
    done = cli("score", "-", "--format", "jsonl", input=json.dumps(row, ensure_ascii=False) + "\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == model.assess(riskmodel.Conversation.from_dict(row)).to_dict()


def test_bad_rows_are_listed_and_good_ones_scored(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    good = '{"id": "a", "turns": [{"speaker": "customer", "text": "你好"}]}'
    source.write_text(good + "\n{broken\n" + '{"id": "b", "turns": []}\n{"id": "c", "turns": [{"speaker": "robot9", "text": "秘密内容"}]}\n', "utf-8")
    done = cli("score", source, "-o", tmp_path / "out.jsonl", "--rejects", tmp_path / "bad.jsonl")
    assert done.returncode == 1
    assert next(json.loads(x)["id"] for x in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == "a"
    listed = (tmp_path / "bad.jsonl").read_text("utf-8")
    assert "in.jsonl" in listed
    assert "line" in listed
    assert "秘密内容" not in done.stderr + listed


@pytest.mark.parametrize("args", [("score", "nothing.jsonl"), ("score", "x", "--format", "doc"), ("train", "no.jsonl", "-o", "m"), ("evaluate",), ("bogus",)])
def test_usage_errors_exit_with_two(args: tuple[str, ...]) -> None:
    done = cli(*args)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_rules_check() -> None:
    done = cli("rules", "check")
    assert done.returncode == 0, done.stdout
