"""One spelling for what people write in many."""

from __future__ import annotations

import pytest

from riskmodel.judgeable import why_not
from riskmodel.normalize import normalize


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("１２３１５", "12315"), ("我要投訴", "我要投诉"), ("ABC", "abc"), ("垃\u200b圾", "垃圾"), ("哈哈哈哈", "哈哈"),
        ("！！！！", "!"), ("10000", "10000"), ("&lt;b&gt;", "<b>"), ("投(tou)诉", "投诉"), ("\U0001f436东西", "狗东西"),
        ("ⓢⓑ", "sb"), ("𝐬𝐛", "sb"), ("a\nb\tc", "a b c"), ("", ""), ("\ud800", "\ufffd"), ("幺二三", "幺二三"), ("ѕЬ"[0], "s"),
    ],
)  # fmt: skip
def test_spelling(text: str, wanted: str) -> None:
    assert normalize(text).text(0) == wanted


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [("我要投诉你们公司", "latin-1", "utf-8"), ("我要投诉你们公司", "latin-1", "gb18030"), ("我要投诉你们公司服务差", "gb18030", "utf-8")],
)
def test_broken_encodings_are_repaired_and_said_so(text: str, wrong: str, right: str) -> None:
    broken = text.encode(right).decode(wrong, "ignore")
    column = normalize(broken)
    assert column.text(0)[:6] == text[:6]
    assert column.repaired == {0}
    start, end = column.span(2, 4)  # 投诉
    assert broken[start:end].encode(wrong).decode(right, "ignore").strip("�") in ("投诉", "投诉你", "要投诉")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"), ("   ", "empty"), ("[图片]", "picture"), ("<voice>", "voice"), ("[语音 12秒]", "voice"),
        ("对方撤回了一条消息", "recalled"), ("锟斤拷锟斤拷烫烫烫", "mojibake"), ("where is my order please", "not_chinese"),
        ("안녕하세요 주문", "not_chinese"), ("12345", None), ("ok", None), ("我在图片里写了", None), ("你好", None), ("👍", None),
    ],
)  # fmt: skip
def test_what_cannot_be_judged(text: str, reason: str | None) -> None:
    assert why_not(text) == reason
