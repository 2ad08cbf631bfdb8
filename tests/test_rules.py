"""Every rule does what its examples say, and a wrong rule file is told so."""

from __future__ import annotations

import time

import pytest

from riskmodel import Conversation, Signal, Speaker, Status, Turn, find_evidence
from riskmodel.errors import LexiconError
from riskmodel.gates import alternatives, gates_of
from riskmodel.lexicon import default_lexicon, read_lexicon
from riskmodel.rules import check_rules


def test_every_example_holds() -> None:
    assert [str(f) for f in check_rules(default_lexicon())] == []


def test_all_signals_have_rules() -> None:
    assert {r.signal for r in default_lexicon().rules} == set(Signal)


def statuses(text: str, speaker: Speaker = Speaker.CUSTOMER) -> set[tuple[Signal, Status]]:
    return {(e.signal, e.status) for e in find_evidence(Conversation("x", (Turn(text, speaker),)))}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("再不退款我就打12315", Status.THREATENED), ("我已经打过12315了，受理编号都有", Status.DONE), ("我不是要打12315，就想问问", Status.DENIED),
        ("12315几点上班？", Status.ASKED), ("我朋友上次找了12315", Status.REPORTED), ("你们不怕我去12315吗？", Status.THREATENED),
        ("幺二三幺五我打定了", Status.THREATENED),
    ],
)  # fmt: skip
def test_status(text: str, status: Status) -> None:
    assert (Signal.REGULATOR_COMPLAINT, status) in statuses(text)


@pytest.mark.parametrize("text", ["路口交通不好", "他妈妈来取", "这是个大麻烦", "订单号990012315", "3月15日发货", "跳楼价真香", "工商银行的卡"])
def test_look_alikes_count_for_nothing(text: str) -> None:
    assert not {s for s, st in statuses(text) if st.counts}


def test_a_rule_hears_its_own_side_only() -> None:
    assert Signal.REGULATOR_COMPLAINT not in {s for s, _ in statuses("您有权拨打12315", Speaker.AGENT)}


RULE = 'signal = "self_harm"\n[[rule]]\nid = "a"\n{}\nmatch = ["x","y","z"]\nno_match = ["1","2","3"]\n'


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('pattern = "\\\\b死"', r"\b"), ('pattern = "死.*"', "bound"), ('pattern = "[^,]{0,3}"', "every match holds"),
        ('phrases = ["{nobody}"]', "nobody"), ('phrase = ["x"]', "phrase"), ('pattern = "(死"', "regular expression"),
        ('phrases = ["x"]\nconfidence = 2', "confidence"), ('phrases = ["x"]\nspeaker = "bot"', "speaker"), ("", "phrases"),
    ],
)  # fmt: skip
def test_errors_name_file_rule_and_key(body: str, word: str) -> None:
    with pytest.raises(LexiconError) as error:
        read_lexicon({"self_harm.toml": RULE.format(body)})
    assert "self_harm.toml" in str(error.value)
    assert "rule a" in str(error.value)
    assert word in str(error.value)


def test_gates() -> None:
    assert alternatives("(?:去(?:a|b)|c{0,2}投诉)") == ["去(?:a|b)", "c{0,2}投诉"]
    sets = {"body": ("消协", "工商")}
    assert ("工商", "消协") in gates_of("找[^,]{0,4}{body}", sets)
    assert gates_of("(?:你|我){0,1}完蛋", sets) == (("完蛋",),)


def test_time_is_linear_in_the_length() -> None:
    def seconds(n: int) -> float:
        started = time.perf_counter()
        find_evidence(Conversation("x", (Turn("再不退款我就去投诉你们不解决找记者，" * (n // 18), Speaker.CUSTOMER),)))
        return time.perf_counter() - started

    seconds(1_000)
    small, large = min(seconds(20_000) for _ in range(3)), seconds(200_000)
    assert large < 60 * small + 0.5
