"""Statistics against scikit-learn, the report on hand-made results, and the rule of a comparison."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, cohen_kappa_score, f1_score

import riskmodel
from riskmodel.assessment import Assessment
from riskmodel.cases import Case
from riskmodel.conversation import Conversation
from riskmodel.evaluation import expected_calibration_error, recall_at
from riskmodel.evaluation_compare import compare
from riskmodel.evaluation_report import measure
from riskmodel.evaluation_stats import (
    Interval,
    Ranking,
    bootstrap_weights,
    difference,
    intervals,
    macro_f1,
    weighted_kappa,
)
from riskmodel.taxonomy import Level


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Targets, and scores that tie often."""
    rng = np.random.default_rng(1)
    y = rng.random(300) < 0.3
    return y, np.round(np.clip(0.3 * y + rng.random(300) * 0.7, 0, 1), 2)


def test_statistics_agree_with_scikit_learn(scored: tuple[np.ndarray, np.ndarray]) -> None:  # type: ignore[type-arg]
    y, p = scored
    ranking = Ranking(y, p)
    weights = np.random.default_rng(2).integers(0, 4, len(y)).astype(float)
    for w in (np.ones(len(y)), weights):
        assert ranking.average_precision(w) == pytest.approx(average_precision_score(y, p, sample_weight=w))
        assert ranking.brier(w) == pytest.approx(brier_score_loss(y, p, sample_weight=w))
    ones = np.ones(len(y))
    assert ranking.calibration_error(ones) == pytest.approx(expected_calibration_error(y, p))
    assert ranking.recall_at(ones, 0.03) == pytest.approx(recall_at(y, p, 0.03), abs=0.02)
    levels, called = np.random.default_rng(3).integers(0, 4, (2, 500))
    ones = np.ones(500)
    assert macro_f1(levels, called, ones) == pytest.approx(f1_score(levels, called, average="macro"))
    assert weighted_kappa(levels, called, ones) == pytest.approx(cohen_kappa_score(levels, called, weights="quadratic"))


def test_a_weight_is_as_good_as_a_copy(scored: tuple[np.ndarray, np.ndarray]) -> None:  # type: ignore[type-arg]
    y, p = scored
    times = np.random.default_rng(4).integers(0, 3, len(y))
    copied = Ranking(np.repeat(y, times), np.repeat(p, times))
    ones = np.ones(int(times.sum()))
    for rate in (0.01, 0.05):
        assert Ranking(y, p).recall_at(times, rate) == pytest.approx(copied.recall_at(ones, rate))
    assert Ranking(y, p).calibration_error(times) == pytest.approx(copied.calibration_error(ones))


def test_recall_is_told_at_no_more_false_alarms_than_asked() -> None:
    y = np.array([True, True, False, True, False, False])
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    ones = np.ones(6)
    assert Ranking(y, p).recall_at(ones, 0.0) == pytest.approx(2 / 3)
    assert Ranking(y, p).recall_at(ones, 1 / 3) == 1.0
    assert np.isnan(Ranking(y[y], p[y]).recall_at(ones[y], 0.1))


def test_intervals_cover_and_are_seeded() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for trial in range(60):
        x = rng.random(200) < 0.4
        found = intervals({"": lambda w, x=x: float((w * x).sum() / w.sum())}, bootstrap_weights(200, 200, trial))[""]  # type: ignore[misc]
        inside += found.low <= 0.4 <= found.high
    assert 50 <= inside <= 60
    assert (bootstrap_weights(50, 5, 1) == bootstrap_weights(50, 5, 1)).all()
    groups = np.repeat(["a", "b", "c"], 10)
    drawn = bootstrap_weights(30, 20, 0, groups)
    assert (drawn.reshape(20, 3, 10) == drawn.reshape(20, 3, 10)[:, :, :1]).all()


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(6)
    hard = rng.random(400)
    a, b = (hard < 0.7), (hard < 0.72)
    share = [lambda w, x=x: float((w * x).sum() / w.sum()) for x in (a, b)]
    samples = bootstrap_weights(400, 300, 0)
    paired = difference(share[0], share[1], samples)
    alone = intervals({"a": share[0]}, samples)["a"]
    assert paired.value == pytest.approx(b.mean() - a.mean())
    assert paired.high - paired.low < (alone.high - alone.low) / 2


# -- a report on results made by hand --------------------------------------------------------


class _Oracle:
    """A model that says what it is told to say."""

    def __init__(self, real: riskmodel.RiskModel, risks: dict[str, float]) -> None:
        self.policy, self.ref, self._real, self._risks = real.policy, real.ref, real, risks

    def assess_many(self, conversations: Sequence[Conversation]) -> list[Assessment]:
        out = []
        for c in conversations:
            risk = self._risks[c.id]
            level = Level.HIGH if risk >= 0.7 else Level.NONE
            blank = self._real.assess(Conversation(c.id, c.turns[:1]))
            out.append(replace(blank, id=c.id, level=level, risk=risk, levels=(1 - risk, 0.0, risk, 0.0), findings=(), evidence=()))
        return out


def _case(i: int, level: Level, industry: str) -> Case:
    turns = [{"speaker": "customer", "text": f"第{i}句"}]
    return Case(Conversation.from_dict({"id": f"c{i}", "turns": turns}), level, None, (None,), f"a{i % 3}", {"industry": industry, "channel": "chat"})


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """40 critical, 40 high, 120 ordinary conversations of two industries."""
    levels = [Level.CRITICAL] * 40 + [Level.HIGH] * 40 + [Level.NONE] * 120
    return [_case(i, level, "bank" if i % 2 else "shop") for i, level in enumerate(levels)]


def _risks(cases: Sequence[Case], missed: Sequence[int] = (), alarmed: Sequence[int] = ()) -> dict[str, float]:
    out = {}
    for i, case in enumerate(cases):
        serious = case.level is not None and case.level >= Level.HIGH
        out[case.id] = (0.2 if i in missed else 0.9) if serious else (0.8 if i in alarmed else 0.05)
    return out


def test_the_report_counts_what_is_there(model: riskmodel.RiskModel, cases: list[Case]) -> None:
    oracle = _Oracle(model, _risks(cases, missed=(0, 1), alarmed=range(80, 86)))
    report = measure(oracle, cases, contacts_per_day=2000, serious_share=0.01, repeats=100)  # type: ignore[arg-type]
    assert report.headline["critical_recall"].value == pytest.approx(38 / 40)
    assert report.headline["false_alarms"].value == pytest.approx(6 / 120)
    alarms = report.frame("alarms").set_index(["threshold", "called_by"])
    row = alarms.loc[(model.policy.thresholds[1], "policy")]
    assert row["alerts_per_day"] == pytest.approx(2000 * (0.01 * 78 / 80 + 0.99 * 0.05))
    slices = report.frame("slices").set_index(["dimension", "value"])
    assert slices.loc[("industry", "shop"), "conversations"] == 100
    assert slices.loc[("industry", "bank"), "high_recall"] == pytest.approx(39 / 40)
    errors = report.frame("errors")
    assert errors["kind"].tolist() == ["missed"] * 2 + ["false_alarm"] * 6
    assert errors["text"].iloc[0] == "第0句"
    data = orjson.loads(orjson.dumps(report.to_dict()))
    assert data["headline"]["critical_recall"]["low"] <= 0.95 <= data["headline"]["critical_recall"]["high"]
    with pytest.raises(riskmodel.RiskModelError, match="no table 'x'"):
        report.frame("x")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_is_self_contained_and_escapes(model: riskmodel.RiskModel, cases: list[Case], lang: str) -> None:
    evil = Case(Conversation.from_dict({"id": "<b>x", "turns": [{"speaker": "customer", "text": "<script>alert(1)</script>"}]}), Level.HIGH, None, (None,))
    every = [*cases, evil]
    report = measure(_Oracle(model, {**_risks(cases), "<b>x": 0.0}), every, repeats=20)  # type: ignore[arg-type]
    page = report.html(lang)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import""", page)
    assert page.count("<svg") >= 5
    assert "nan" not in re.sub(r"<style.*?</style>", "", page, flags=re.S).lower().split("polyline")[1]
    assert len(report.text(lang)) > 500


def test_nothing_to_measure(model: riskmodel.RiskModel) -> None:
    with pytest.raises(riskmodel.RiskModelError, match="no conversation has a level"):
        measure(model, [])


@pytest.mark.parametrize(
    ("missed_a", "missed_b", "alarmed_b", "rules"),
    [
        ((), (), (), set()),
        ((), (0,), (), {"critical"}),  # one critical conversation is one too many
        ((0,), (1,), (), set()),  # one lost, one won
        ((), (40,), (), set()),  # one of the high ones is chance
        ((), (40, 42, 44), (), {"slice"}),
        ((40, 42, 44), (), (), set()),
        ((), (), range(80, 92), {"false_alarms"}),
    ],
)
def test_the_rule_of_a_regression(
    model: riskmodel.RiskModel, cases: list[Case], missed_a: Sequence[int], missed_b: Sequence[int], alarmed_b: Sequence[int], rules: set[str]
) -> None:
    a, b = _Oracle(model, _risks(cases, missed_a)), _Oracle(model, _risks(cases, missed_b, alarmed_b))
    found = compare(a, b, cases, repeats=200)  # type: ignore[arg-type]
    assert {r.rule for r in found.regressions()} - {"ranking"} == rules
    assert found.to_dict()["fit_to_replace"] == (not found.regressions())
    frame = found.frame().set_index("metric")
    assert frame.loc["high_recall", "difference"] == pytest.approx((len(missed_a) - len(missed_b)) / 80)
    assert "<svg" in found.html("zh")


def test_a_model_equals_itself(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    few = [c for c in corpus if c.level is not None][:60]
    found = riskmodel.compare(model, model, few, repeats=50)
    assert not found.regressions()
    assert (found.frame()[["difference", "low", "high"]].fillna(0) == 0).all(axis=None)


def _run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from riskmodel.cli import main; main()", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8"})


def test_train_evaluate_compare_from_the_command_line(tmp_path: Path) -> None:
    texts = {"好评": "东西不错{}，谢谢客服", "差评": "骗人的{}，退钱，不然投诉你们"}
    rows = [f"{template.format(k)},{label}" for k in range(25) for label, template in texts.items()]
    (tmp_path / "t.csv").write_text("评论,评价\n" + "\n".join(rows) + "\n,差评\n", "utf-8")
    options = ("--text", "评论", "--label", "评价", "--labels", "差评=high,好评=none")
    done = _run("train", "t.csv", *options, "-o", "m", "--lang", "en", cwd=tmp_path)
    assert done.returncode == 1, done.stderr  # one row had no text, and is listed
    assert "line 52" in done.stderr
    assert "accuracy" in done.stderr
    done = _run("evaluate", "t.csv", *options, "--model", "m", "-o", "out.json", "--repeats", "50", "--lang", "en", cwd=tmp_path)
    assert "macro-F1" in done.stdout
    data = orjson.loads((tmp_path / "out.json").read_bytes())
    assert data["report"]["headline"]["accuracy"]["value"] == 1.0
    page = _run("evaluate", "t.csv", *options, "--model", "m", "-o", "out.html", "--repeats", "50", cwd=tmp_path)
    assert "<svg" in (tmp_path / "out.html").read_text("utf-8"), page.stderr
    done = _run("compare", "m", "default", "--cases", "t.csv", *options, "--repeats", "50", "--lang", "en", "--require-no-regression", cwd=tmp_path)
    assert done.returncode == 1
    assert "Not fit to replace" in done.stdout
    done = _run("train", "t.csv", "--text", "评论", "--label", "评价", "-o", "m2", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown label" in done.stderr
    assert "--labels" in done.stderr
    done = _run("train", "t.csv", "--text", "comment", "-o", "m2", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no column 'comment'" in done.stderr
    assert "评论, 评价" in done.stderr


def test_an_interval_without_a_value_is_null_in_json() -> None:
    assert Interval(float("nan"), 0.1, 0.2).to_dict() == {"value": None, "low": 0.1, "high": 0.2}
