"""Choosing what to label, doubting labels, thresholds, conformal sets and drift: each against a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import riskmodel
from riskmodel.errors import InputError
from riskmodel.small_data import confident_issues
from riskmodel.thresholds import with_thresholds

_CALM = ("请问{x}什么时候发货呢", "{x}已经收到了，谢谢", "麻烦帮我查一下{x}的订单", "{x}可以开发票吗", "想换一个颜色的{x}")
_ANGRY = ("{x}坏了还不退款，我要去投诉你们", "再不处理{x}我就找记者曝光", "垃圾{x}，骗子商家等着收传票", "{x}的事今天不解决我去你们店里闹", "买个{x}气死人，12315见")
_THINGS = ("锅", "手机", "裙子", "鞋", "沙发", "电饭煲", "耳机", "奶粉", "被子", "台灯", "行李箱", "口红")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """120 short texts of two kinds, by four annotators; an index of its own."""
    rows = [(t.format(x=x), kind) for kind, texts in ((0, _CALM), (1, _ANGRY)) for t in texts for x in _THINGS]
    order = np.random.default_rng(0).permutation(len(rows))
    data = {"text": [rows[i][0] for i in order], "label": [rows[i][1] for i in order], "annotator": [f"n{k % 4}" for k in range(len(rows))]}
    return pd.DataFrame(data, index=[f"r{k}" for k in range(len(rows))])


def _scored(n: int, seed: int, *, levels: int = 4) -> pd.DataFrame:
    """Calibrated probabilities, and levels drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.6, 0.5, 0.4, 0.3], n)
    if levels == 2:
        p = np.column_stack([p[:, 0] + p[:, 1], np.zeros(n), p[:, 2] + p[:, 3], np.zeros(n)])
    y = (rng.random(n)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    names = ["none", "low", "high", "critical"]
    out = pd.DataFrame(p, columns=[f"p_{name}" for name in names])
    out["risk"] = p[:, 2:].sum(axis=1)
    out["label"] = [names[k] for k in y]
    out["author"] = [f"a{k % 30}" for k in range(n)]
    return out


def test_suggest_takes_the_uncertain_and_parts_them(frame: pd.DataFrame) -> None:
    got = riskmodel.suggest(frame, n=12, seed=1)
    assert len(got) == 12
    assert got.index.isin(frame.index).all()
    assert got.index.is_unique
    assert got["rank"].tolist() == list(range(1, 13))
    everything = riskmodel.suggest(frame, n=len(frame), diversity=0)
    assert (everything["uncertainty"].diff().dropna() <= 1e-12).all()
    assert got["uncertainty"].mean() > everything["uncertainty"].mean()
    assert got["cluster"].nunique() == 12
    pd.testing.assert_frame_equal(got, riskmodel.suggest(frame, n=12, seed=1))


@pytest.mark.parametrize("options", [{"n": 0}, {"diversity": 2}, {"text": "x"}])
def test_suggest_refuses_nonsense(frame: pd.DataFrame, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        riskmodel.suggest(frame, **options)  # type: ignore[arg-type]


def test_wrong_labels_are_found(frame: pd.DataFrame) -> None:
    wrong = frame.index[[3, 17, 40, 77]]
    flipped = frame.assign(label=[1 - k if i in wrong else k for i, k in zip(frame.index, frame["label"], strict=True)])
    found = riskmodel.find_label_issues(flipped)
    assert set(found.index[:3]) <= set(wrong)
    assert (found["self_confidence"].diff().dropna() >= 0).all()
    assert (found["given"] != found["suggested"]).all()


def test_confident_learning_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7], [0.45, 0.55]])
    given = np.array([0, 0, 0, 1, 1, 1])
    doubtful, suggested = confident_issues(p, given)
    assert doubtful.tolist() == [False, False, True, False, False, False]
    assert suggested[2] == 1


def test_the_learning_curve_rises_over_whole_groups(frame: pd.DataFrame) -> None:
    wide = pd.concat([frame.assign(annotator=[f"n{k % 12}" for k in range(len(frame))])])
    curve = riskmodel.learning_curve(wide, group="annotator", shares=(0.34, 1.0), repeats=2, folds=3)
    assert curve["share"].tolist() == [0.34, 1.0]
    assert curve["groups"].tolist() == [3, 8]
    assert (curve["accuracy_low"] <= curve["accuracy"]).all()
    assert (curve["accuracy"] <= curve["accuracy_high"]).all()
    assert curve["accuracy"].iloc[-1] >= 0.9


def test_thresholds_from_alerts_hold(tmp_path: Path) -> None:
    scored, fresh = _scored(4000, 1), _scored(4000, 2)
    chosen = riskmodel.choose_thresholds(
        scored, contacts_per_day=1000, max_alerts_per_day={"high": 50, "critical": 10}, output=tmp_path / "policy.toml"
    )
    assert chosen.loc["high", "alerts_per_day"] <= 50
    assert chosen.loc["critical", "alerts_per_day"] <= 10
    assert chosen.loc["high", "alerts_per_day"] > 45  # and no fewer than need be
    assert chosen["chosen_by"].tolist() == ["policy", "alerts", "alerts"]
    assert 1000 * (fresh["risk"] >= chosen.loc["high", "threshold"]).mean() == pytest.approx(50, abs=15)
    policy = riskmodel.load_policy(tmp_path / "policy.toml")
    assert policy.thresholds[1:] == pytest.approx(tuple(chosen["threshold"][1:]), abs=1e-5)
    assert "#" in policy.source  # comments are kept


def test_thresholds_from_costs_are_where_they_should_be() -> None:
    # On calibrated probabilities the best threshold is false_alarm / (false_alarm + missed).
    chosen = riskmodel.choose_thresholds(_scored(40_000, 3), costs={"missed": 9, "false_alarm": 1})
    assert chosen.loc["high", "threshold"] == pytest.approx(0.1, abs=0.03)
    assert chosen.loc["high", "chosen_by"] == "costs"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of the two"),
        ({"max_alerts_per_day": 5}, "contacts_per_day"),
        ({"max_alerts_per_day": {"hihg": 5}, "contacts_per_day": 10}, "unknown level 'hihg'"),
        ({"costs": {"high": {"missed": 5}}}, "costs are not complete"),
        ({"costs": {"missed": 5, "false_alarm": 1}, "label": "x"}, "no column x"),
    ],
)
def test_thresholds_refuse_what_is_not_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        riskmodel.choose_thresholds(_scored(100, 1), **options)  # type: ignore[arg-type]


def test_a_policy_without_floors_goes_by_the_threshold_alone(model: riskmodel.RiskModel) -> None:
    policy = with_thresholds(model.policy, (0.1, 0.2, 0.3), floors=False, name="mine")
    assert policy.thresholds == (0.1, 0.2, 0.3)
    assert with_thresholds(model.policy, None, floor_risk=0.25).floor_risk == 0.25
    assert policy.name == "mine"
    assert set(policy.floors.values()) == {riskmodel.Level.NONE}
    assert not policy.rule_floors
    assert not policy.floors_when_done
    assert policy.actions == model.policy.actions


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_cover_as_promised(coverage: float) -> None:
    conformal = riskmodel.fit_conformal(_scored(3000, 4), coverage=coverage)
    fresh = _scored(3000, 5)
    table = conformal.coverage_of(fresh)
    assert table.loc["all", "coverage"] >= coverage - 0.02
    sets = conformal.sets(fresh)
    assert (sets["size"] == sets["levels"].map(len)).all()
    assert (sets["size"] >= 1).all()
    ordered = ["none", "low", "high", "critical"]
    assert all("".join(s) in "".join(ordered) for s in sets["levels"])  # no gaps
    assert (sets["cannot_tell"] == sets["levels"].map(lambda s: bool({"none", "low"} & set(s)) and bool({"high", "critical"} & set(s)))).all()


def test_sets_cover_each_level_and_new_groups() -> None:
    per_level = riskmodel.fit_conformal(_scored(4000, 6), coverage=0.9, per_level=True)
    assert (per_level.coverage_of(_scored(4000, 7))["coverage"] >= 0.87).all()
    assert riskmodel.fit_conformal(_scored(900, 8), group="author").groups == 30
    few = _scored(900, 8).assign(author="one")
    with pytest.raises(InputError, match="1 groups are too few"):
        riskmodel.fit_conformal(few, group="author")


def test_sets_of_a_binary_label_hold_no_other_levels() -> None:
    conformal = riskmodel.fit_conformal(_scored(500, 9, levels=2), coverage=0.95)
    assert {name for s in conformal.sets(_scored(200, 10, levels=2))["levels"] for name in s} <= {"none", "high"}


def test_drift_is_nothing_between_halves_and_something_between_kinds(frame: pd.DataFrame) -> None:
    same = riskmodel.vocabulary_drift(frame.iloc[::2], frame.iloc[1::2])
    other = riskmodel.vocabulary_drift(frame[frame["label"] == 0], frame[frame["label"] == 1])
    assert same.attrs["js"] < other.attrs["js"] / 3
    assert 0 <= other.attrs["js"] <= 1
    top = other.set_index("word")
    assert (top.loc[["请问"], "log_ratio"] < 0).all()


def test_score_drift_and_its_verdict() -> None:
    a, b = _scored(4000, 11), _scored(4000, 12)
    assert riskmodel.score_drift(a, b).attrs["verdict"] == "stable"
    shifted = b.assign(risk=b["risk"] ** 0.3)
    found = riskmodel.score_drift(a, shifted)
    assert found.attrs["verdict"] == "drifted"
    assert found["psi"].sum() == pytest.approx(found.attrs["psi"])
    assert found["before"].sum() == pytest.approx(1)
    assert found["after"].sum() == pytest.approx(1)


def test_signal_drift(frame: pd.DataFrame) -> None:
    calm, angry = (riskmodel.score_frame(frame[frame["label"] == k]) for k in (0, 1))
    found = riskmodel.signal_drift(calm, angry).set_index("signal")
    row = found.loc["media_exposure"]
    assert row["before"] == 0
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["low"] > 0
    with pytest.raises(InputError, match="no column"):
        riskmodel.signal_drift(frame, frame)


def test_held_out_frames_of_both_ways_of_training(frame: pd.DataFrame) -> None:
    crossed = riskmodel.cross_predict(frame, group="annotator")
    trained = riskmodel.train_texts(frame, group="annotator").held_out_frame()
    assert crossed.index.equals(frame.index)
    assert np.allclose(crossed["risk"], trained["risk"])
    assert np.allclose(crossed[["p_none", "p_low", "p_high", "p_critical"]].sum(axis=1), 1)
