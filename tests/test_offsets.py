"""Evidence points at the exact original characters, always."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import riskmodel
from riskmodel import Conversation, Speaker, Turn
from riskmodel.cases import Case
from riskmodel.normalize import normalize, normalize_many

FRAGMENTS = [
    "再不退款我就打12315", "１２３１５", "我要投訴你們", "幺二三幺五", "垃\u200b圾客服", "傻*逼", "s b", "投 诉", "你们等着上抖音",
    "我不想活了", "哈哈哈哈哈", "！！！？？", "&amp;", "&#25237;诉", "\U0001f436东西", "👨‍👩‍👧", "é", "\ud800", "\x00", "\n", "\t", "a\u0301",
    "ﬁ", "㍿", "…", "12345678", "投(tou)诉", "律师函", "[图片]", "曝光你们", "消 协", "记者", "我要投诉".encode().decode("latin-1"),
]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=12)), max_size=6).map("".join)
turns = st.lists(st.tuples(st.sampled_from(list(Speaker)), texts), min_size=1, max_size=6)


def conversation(drawn: list[tuple[Speaker, str]]) -> Conversation:
    return Conversation("x", tuple(Turn(text, speaker) for speaker, text in drawn))


@settings(max_examples=300, deadline=None)
@given(turns)
def test_evidence_is_the_original_text(drawn: list[tuple[Speaker, str]]) -> None:
    c = conversation(drawn)
    for e in (*riskmodel.find_evidence(c), *riskmodel.load_model().assess(c).evidence):
        assert c.turns[e.turn].text[e.start : e.end] == e.text
        assert 0 <= e.start <= e.end <= len(c.turns[e.turn].text)


def test_evidence_on_the_corpus(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    conversations = [c.conversation for c in corpus]
    for c, a in zip(conversations, model.assess_many(conversations), strict=True):
        for e in a.evidence:
            assert c.turns[e.turn].text[e.start : e.end] == e.text


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=5))
def test_normalising_many_is_normalising_each(many: list[str]) -> None:
    column = normalize_many(many)
    assert len(column) == len(many)
    for i, text in enumerate(many):
        one = normalize(text)
        assert column.text(i) == one.text(0)
        a, b = int(column.bounds[i]), int(column.bounds[i + 1])
        assert column.origin[a:b].tolist() == one.origin.tolist()


@settings(max_examples=300, deadline=None)
@given(texts)
def test_origin_rises_and_stays_inside(text: str) -> None:
    column = normalize(text)
    origin = column.origin.tolist()
    assert origin == sorted(origin)
    assert origin[-1] == len(text)
    for k in range(len(origin) - 1):
        start, end = column.span(k, k + 1)
        assert 0 <= start < end <= len(text)
