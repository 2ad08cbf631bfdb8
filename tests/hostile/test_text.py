"""Hostile text: any characters, any length, any mixture of listed words; no crash, linear time.

``RISKMODEL_FUZZ=1000000`` mutates that many turns in place of some hundred.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

import riskmodel
from riskmodel import Conversation, Speaker, Turn, find_evidence
from riskmodel.cases import Case
from riskmodel.lexicon import default_lexicon

MUTATED = int(os.environ.get("RISKMODEL_FUZZ", "600"))
SIGNS = "\u200b\u200d\ufe0f\u202e\ufeff\x00\x0b\n\r\t \u3000*.。，！？…“”()（）【】<>&;#=+-@0１①⑤②幺二Ａａéß㍿ﬁ🐶👨‍👩‍👧\U000f0000\ud800\udfff\ue000龘"


def mutated(text: str, draw: random.Random, other: str) -> str:
    """Change a text in one of the ways in which files and people spoil text."""
    at, to = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
    sign = draw.choice(SIGNS)
    ways = (
        lambda: text[:at] + sign + text[at:],
        lambda: text[:at] + text[to:],
        lambda: text[:to] + text[at:],
        lambda: text[at:to] * draw.randrange(1, 6) + text,
        lambda: sign.join(text),
        lambda: text[:at] + other[:to] + text[at:],
        lambda: text.encode("utf-8", "replace").decode("latin-1"),
        lambda: text.encode("utf-8", "replace").decode("gb18030", "replace"),
        lambda: "".join(chr((ord(c) + 0xFEE0) if "!" <= c <= "~" else ord(c)) for c in text),
        lambda: text[::-1],
        lambda: "".join(draw.sample(text, len(text))),
        lambda: text[:at] + chr(draw.randrange(0x110000)) + text[to:],
    )
    return draw.choice(ways)()


def turns(corpus: list[Case], number: int) -> Iterator[Turn]:
    draw = random.Random(20_261)
    texts = [t.text for c in corpus for t in c.conversation.turns if t.text]
    for _ in range(number):
        text = draw.choice(texts)
        for _ in range(draw.randrange(1, 4)):
            text = mutated(text, draw, draw.choice(texts))[:400]
        yield Turn(text, draw.choice(list(Speaker)))


def test_mutated_turns(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    """Normaliser, rules and model take them all, and evidence is the original text."""
    source = turns(corpus, MUTATED)
    number = 0
    while batch := [Turn(t.text, t.speaker) for _, t in zip(range(5_000), source, strict=False)]:
        conversations = [Conversation(f"c{i}", tuple(batch[i : i + 5])) for i in range(0, len(batch), 5)]
        for c, a in zip(conversations, model.assess_many(conversations), strict=True):
            number += len(c.turns)
            assert 0 <= a.risk <= 1
            for e in a.evidence:
                assert c.turns[e.turn].text[e.start : e.end] == e.text
    assert number >= MUTATED - 1


def seconds(text: str) -> float:
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        find_evidence(Conversation("x", (Turn(text, Speaker.CUSTOMER), Turn(text, Speaker.AGENT))))
        best = min(best, time.process_time() - start)
    return best


def repeated(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


UNITS = ["a", " ", "1", "不", "再不", "“", "！", "打12315", "1 2 3 1 5", "投\u200b诉", "投 诉 ", "头诉", "多媒体", "sb ", "我要投诉你，", "🐶", "！" * 50 + "滚" * 50]


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_text(unit: str) -> None:
    """Ten times the text takes about ten times as long; a quadratic step would take a hundred."""
    seconds(unit * 10)
    small = max(seconds(repeated(unit, 4_000)), 0.004)
    assert seconds(repeated(unit, 40_000)) < 35 * small


@pytest.mark.slow
def test_every_rule_reads_a_flood_of_its_own_words() -> None:
    """10,000 characters for each rule here; a million with RISKMODEL_LONG=1000000."""
    size = int(os.environ.get("RISKMODEL_LONG", "10000"))
    slowest = (0.0, "")
    for rule in default_lexicon().rules:
        said = [m if isinstance(m, str) else str(m[-1]) for m in rule.match] or list(rule.phrases)
        if not said:
            continue
        speaker = rule.speaker or Speaker.CUSTOMER
        text = repeated("".join(said), size)
        start = time.process_time()
        found = find_evidence(Conversation("x", (Turn(text, speaker),)))
        slowest = max(slowest, (time.process_time() - start, rule.name))
        assert all(text[e.start : e.end] == e.text for e in found[:50])
    print(f"slowest rule: {slowest[1]} {slowest[0]:.2f} s of {size} characters")
    assert slowest[0] < 5 + size / 10_000, slowest  # seconds; hours if it were quadratic


def test_a_flood_of_hits_is_cut() -> None:
    text = repeated("打12315", 200_000)
    found = find_evidence(Conversation("x", (Turn(text, Speaker.CUSTOMER),)))
    assert 0 < len(found) < 5_000


def test_a_hundred_thousand_turns(model: riskmodel.RiskModel) -> None:
    many = tuple(Turn("好的" if i % 7 else f"第{i}次问，再不退款我就打12315", Speaker.CUSTOMER) for i in range(100_000))
    start = time.process_time()
    result = model.assess(Conversation("long", many))
    assert result.level >= riskmodel.Level.HIGH
    assert time.process_time() - start < 120
