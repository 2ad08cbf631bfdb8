"""Rules as tables: they agree with the plain report, and a new rule's effect is shown turn by turn."""

from __future__ import annotations

from pathlib import Path

import pytest

import riskmodel
from riskmodel.cases import Case
from riskmodel.rules import check_rules, report_rules
from riskmodel.rules_frames import missed_turns, rule_changes, rule_hits, rule_table, signal_table

RULE = """
signal = "regulator_complaint"
[[rule]]
id = "next-door"
phrases = ["(家|楼)(下|旁边)就是(红盾|市监所)"]
confidence = 0.9
match = ["我家楼下就是红盾", "家旁边就是市监所，走两步", "楼下就是市监所"]
no_match = ["楼下就是超市", "红盾旁边那家店", "家下面是市监所吗"]
"""


@pytest.fixture(scope="module")
def some(corpus: list[Case]) -> list[Case]:
    return corpus[:1500]


@pytest.fixture
def extended(tmp_path: Path) -> riskmodel.lexicon.Lexicon:
    (tmp_path / "own.toml").write_text(RULE, "utf-8")
    return riskmodel.load_lexicon(tmp_path, extend=riskmodel.load_lexicon())


def test_the_table_agrees_with_the_report(some: list[Case]) -> None:
    lexicon = riskmodel.load_lexicon()
    table = rule_table(lexicon, some)
    reports, _ = report_rules(lexicon, some)
    assert len(table) == len(lexicon.rules)
    for report in reports:
        row = table.loc[report.rule]
        assert (row["hits"], row["right"], row["alone"]) == (report.hits, report.right, report.alone), report.rule
        assert row["alone"] <= row["right"] <= row["hits"] == row["overlaps"] + (row["hits"] - row["overlaps"])


def test_conflicts_are_turns_that_two_rules_read_in_opposite_ways(some: list[Case]) -> None:
    lexicon = riskmodel.load_lexicon()
    hits = rule_hits(lexicon, some)
    both = hits.groupby(["id", "turn", "signal"])["counts"].nunique() == 2
    assert both.any()
    conflicts = rule_table(lexicon, some)["conflicts"].sum()
    opposed = hits.set_index(["id", "turn", "signal"])["counts"].index.isin(both[both].index)
    assert conflicts == opposed.sum()


def test_signals_and_misses_agree_with_the_report(some: list[Case]) -> None:
    lexicon = riskmodel.load_lexicon()
    table = signal_table(lexicon, some)
    _, reports = report_rules(lexicon, some)
    for report in reports:
        assert table.loc[report.signal.value, ["turns", "hits", "right"]].tolist() == [report.positives, report.hits, report.right]
        missed = missed_turns(lexicon, some, report.signal)
        assert [f"{r.id}#{r.turn}" for r in missed.itertuples()] == list(report.missed)


def test_a_new_rule_changes_what_it_should(some: list[Case], extended: riskmodel.lexicon.Lexicon) -> None:
    assert not [f for f in check_rules(extended) if "next-door" in f.rule]
    assert rule_changes(riskmodel.load_lexicon(), riskmodel.load_lexicon(), some).empty
    talk = {"id": "x", "turns": [{"speaker": "customer", "text": "巧了楼下就是红盾", "signals": ["regulator_complaint:threatened"]}]}
    changes = rule_changes(riskmodel.load_lexicon(), extended, [*some, Case.from_dict(talk)])
    assert changes.to_dict("records")[-1] == {
        "id": "x", "turn": 0, "signal": "regulator_complaint", "change": "found", "right": True, "text": "巧了楼下就是红盾"
    }  # fmt: skip


def test_a_model_can_read_with_other_rules(model: riskmodel.RiskModel, extended: riskmodel.lexicon.Lexicon) -> None:
    talk = riskmodel.Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": "巧了楼下就是红盾"}]})
    other = model.with_rules(extended)
    assert other.assess(talk).risk > model.assess(talk).risk
    assert [e.source for e in other.assess(talk).evidence] == ["rule:regulator_complaint/next-door"]
    assert model.assess(talk).evidence == riskmodel.load_model().assess(talk).evidence  # the shipped one is untouched
