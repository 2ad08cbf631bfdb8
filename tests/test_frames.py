"""Tables in and out: messages to conversations, cases to rows."""

from __future__ import annotations

import pandas as pd
import pytest

import riskmodel
from riskmodel.cases import Case


def test_messages_with_chinese_columns_become_conversations() -> None:
    frame = pd.DataFrame(
        {
            "会话ID": ["a", "b", "a"],
            "发送方": ["客户", "坐席01", "客服"],
            "消息内容": ["锅漏水", "您好", None],
            "发送时间": ["2026-05-05 10:00", None, "2026-05-05 10:01"],
        }
    )
    first, second = riskmodel.from_frame(frame)
    assert [(t.speaker, t.text) for t in first.turns] == [("customer", "锅漏水"), ("agent", "")]
    assert first.turns[0].time == "2026-05-05 10:00"
    assert second.turns[0].speaker == "agent"


def test_columns_can_be_named() -> None:
    frame = pd.DataFrame({"nr": [7, 7], "w": ["客户", "?"], "s": ["好", 1.5]})
    (one,) = riskmodel.from_frame(frame, id="nr", speaker="w", text="s")
    assert (one.id, [t.text for t in one.turns]) == ("7", ["好", "1.5"])
    assert one.turns[1].speaker == "unknown"


@pytest.mark.parametrize("arguments", [{}, {"text": "正文"}])
def test_a_missing_column_says_which_are_there_and_what_to_write(arguments: dict[str, str]) -> None:
    frame = pd.DataFrame({"会话ID": ["a"], "发送方": ["客户"], "x": ["好"]})
    with pytest.raises(riskmodel.RiskModelError, match=r"会话ID, 发送方, x.*from_frame\(frame, text=…\)"):
        riskmodel.from_frame(frame, **arguments)


def test_to_frame_has_a_row_a_conversation(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    some = [c.conversation for c in corpus[:20]]
    frame = riskmodel.to_frame(model.assess_many(some))
    assert list(frame["id"]) == [c.id for c in some]
    assert {"level", "risk", "p_none", "p_critical", "evidence", "regulator_complaint"} <= set(frame.columns)


def test_cases_keep_their_words_through_a_table(corpus: list[Case]) -> None:
    some = [c for c in corpus if c.level is not None][:50]
    frame = riskmodel.cases_frame(some)
    assert list(frame["level"]) == [c.level.label for c in some if c.level is not None]
    assert all(t.text in text for c, text in zip(some, frame["text"], strict=True) for t in c.conversation.turns)
    assert frame["text"].str.contains("客户：").all()
