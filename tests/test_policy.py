"""The policy: floors, combinations, actions, the rolling year, and errors that name the key."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from riskmodel import Conversation, Evidence, Finding, Level, RiskModel, Signal, Speaker, Status, Turn
from riskmodel.errors import PolicyError
from riskmodel.history import History, complaints_in_window, window_end
from riskmodel.policy import default_policy, read_policy

P = default_policy()


def found(signal: Signal, status: Status = Status.THREATENED, standing: bool = True, probability: float = 0.95) -> Finding:
    return Finding(signal, probability, status, (0,), standing)


@pytest.mark.parametrize(
    ("findings", "level"),
    [
        ([found(Signal.REGULATOR_COMPLAINT)], Level.HIGH),
        ([found(Signal.REGULATOR_COMPLAINT, Status.DONE)], Level.CRITICAL),
        ([found(Signal.REGULATOR_COMPLAINT, standing=False)], Level.LOW),
        ([found(Signal.REGULATOR_COMPLAINT, probability=0.6)], Level.NONE),
        ([found(Signal.REGULATOR_COMPLAINT), found(Signal.MEDIA_EXPOSURE)], Level.CRITICAL),
        ([found(Signal.MANAGEMENT_ESCALATION)], Level.LOW),
        ([found(Signal.MANAGEMENT_ESCALATION), found(Signal.LEGAL_ACTION)], Level.HIGH),
        ([found(Signal.AGENT_ABUSE, Status.DONE)], Level.CRITICAL),
        ([found(Signal.CHURN_THREAT)], Level.LOW),
    ],
)
def test_floors(findings: list[Finding], level: Level) -> None:
    assert P.decide((0.3, 0.2, 0.0), findings, ())[0] == level


def test_the_model_alone_can_raise_the_level() -> None:
    assert P.decide((0.99, 0.98, 0.97), (), ())[0] == Level.CRITICAL


def test_actions_come_soonest_first_and_once() -> None:
    actions = P.actions_for(Level.CRITICAL, [found(Signal.SELF_HARM), found(Signal.MEDIA_EXPOSURE)])
    assert [a.due_in_s for a in actions] == sorted(a.due_in_s for a in actions)
    assert len({a.action for a in actions}) == len(actions)
    assert actions[0].because == "self_harm"
    assert P.actions_for(Level.NONE, []) == ()


def test_off_hours_route() -> None:
    night = P.actions_for(Level.HIGH, [], datetime(2026, 5, 5, 23, 0))
    assert "escalate_team_leader" not in {a.action for a in night}
    assert {a.action for a in P.actions_for(Level.HIGH, [], datetime(2026, 5, 5, 12, 0))} == {"escalate_team_leader"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("high = 0.50 ", "high = 1.50 ", "thresholds.high"), ('media_exposure = "high"', 'media_exposure = "huge"', "floors.media_exposure"),
        ('churn_threat = "low"\n', "", "floors.churn_threat"), ("due_in_s = 300", "due_in_s = 0", "due_in_s"), ("[history]", "[histori]", "histori"),
        ('start = "21:00"', 'start = "25:00"', "off_hours.start"), ('when_signal = "self_harm"', 'when_signal = "self"', "when_signal"),
        ('repeated_insult = "high" ', "", "repeated_insult"),
    ],
)  # fmt: skip
def test_errors_name_the_key(old: str, new: str, key: str) -> None:
    text = P.source
    assert old in text
    with pytest.raises(PolicyError, match=key):
        read_policy(text.replace(old, new, 1))


def test_the_year_ends_on_the_day_before() -> None:
    assert window_end(date(2025, 3, 1), 365) == date(2026, 2, 28)
    assert window_end(date(2024, 2, 29), 365) == date(2025, 2, 28)
    assert window_end(date(2023, 3, 1), 365) == date(2024, 2, 29)
    assert window_end(date(2025, 1, 1), 30) == date(2025, 1, 30)


@pytest.mark.parametrize(
    ("today", "count"), [(date(2026, 2, 28), 3), (date(2026, 3, 1), 0), (date(2025, 6, 2), 3), (date(2025, 2, 1), 0)]
)
def test_complaints_of_the_year(today: date, count: int) -> None:
    days = [date(2025, 3, 1), date(2025, 6, 1), date(2025, 6, 2)]
    assert complaints_in_window(days, today, 365) == count


def test_the_fourth_complaint_is_critical(model: RiskModel) -> None:
    history = History(model.policy)
    levels = []
    for day in (1, 2, 3, 4):
        c = Conversation(
            str(day), (Turn("我要投诉你们，工号报一下", Speaker.CUSTOMER, f"2026-05-0{day}T10:00:00+08:00"),), customer_id="k1", meta={"order_id": "o1"}
        )
        a = model.assess(c)
        levels.append(model.assess(c, past_complaints=history.count(c, a)).level)
    assert levels[3] is Level.CRITICAL
    assert max(levels[:3]) < Level.CRITICAL


def test_urging_a_shipment_is_no_complaint(model: RiskModel) -> None:
    history = History(model.policy)
    for day in (1, 2, 3, 4, 5):
        c = Conversation(str(day), (Turn("你好，帮我催一下发货", Speaker.CUSTOMER, f"2026-05-0{day}T10:00:00+08:00"),), customer_id="k1")
        assert history.count(c, model.assess(c)) == 0


def test_a_floor_needs_some_risk_but_a_slur_does_not() -> None:
    sure = [found(Signal.REGULATOR_COMPLAINT)]
    assert P.decide((0.3, 0.05, 0.0), sure, ())[0] is Level.LOW
    said = Evidence(0, 0, 2, "狗贼", Signal.CUSTOMER_INSULT, Status.DONE, "rule:customer_insult/clear-slur", 0.95)
    assert P.decide((0.3, 0.05, 0.0), [found(Signal.CUSTOMER_INSULT, Status.DONE)], [said])[0] is Level.HIGH
