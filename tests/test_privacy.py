"""Personal data is found, masked alike, and order numbers are kept."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskmodel.conversation import Conversation
from riskmodel.privacy import KINDS, Pseudonyms, find_kept, find_personal, mask, mask_text

CASES = [json.loads(line) for line in (Path(__file__).parents[1] / "data/privacy/cases.jsonl").read_text("utf-8").splitlines()]


def _found(text: str) -> set[tuple[int, int, str]]:
    return {(s.start, s.end, s.kind) for s in find_personal(text)}


def test_labels_are_sound():
    assert len(CASES) >= 500
    assert len({c["text"] for c in CASES}) == len(CASES)
    for case in CASES:
        for start, end, kind in case["spans"]:
            assert 0 <= start < end <= len(case["text"])
            assert kind in KINDS


def test_precision_and_recall():
    right: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    given_: Counter[str] = Counter()
    for case in CASES:
        want, got = {tuple(s) for s in case["spans"]}, _found(case["text"])
        right.update(k for *_, k in want & got)
        wanted.update(k for *_, k in want)
        given_.update(k for *_, k in got)
    assert right.total() / given_.total() >= 0.97
    assert right.total() / wanted.total() >= 0.97
    for kind in KINDS:
        assert right[kind] / wanted[kind] >= 0.9, kind


@pytest.mark.parametrize("case", [c for c in CASES if c.get("kept")], ids=lambda c: c["text"][:12])
def test_order_numbers_and_hotlines_are_kept(case):
    masked = mask_text(case["text"])
    for start, end in case["kept"]:
        assert case["text"][start:end] in masked
        assert not any(s < end and e > start for s, e, _ in _found(case["text"]))


def test_spans_point_at_the_original():
    text = "亲，电话１３８１２０４５６７８（张女士）"
    spans = find_personal(text)
    assert [(s.kind, s.text) for s in spans] == [("phone", "１３８１２０４５６７８"), ("name", "张")]
    assert all(text[s.start : s.end] == s.text for s in spans)


def test_the_same_number_and_person_get_the_same_token():
    conversation = Conversation.from_dict(
        {
            "id": "c1",
            "customer_id": "13812045678",
            "remark": {"回电": "138-1204-5678"},
            "turns": [
                {"speaker": "agent", "text": "张先生您好"},
                {"speaker": "customer", "text": "我叫张伟，13812045678"},
                {"speaker": "customer", "text": "幺三八一二零四五六七八打不通就打13912045678"},
                {"speaker": "agent", "text": "张伟先生，登记好了，订单号13812045678"},
            ],
        }
    )
    masked = mask(conversation)
    assert [t.text for t in masked.turns] == [
        "[姓名1]先生您好",
        "我叫[姓名1]，[电话1]",
        "[电话1]打不通就打[电话2]",
        "[姓名1]先生，登记好了，订单号13812045678",
    ]
    assert masked.customer_id == "[电话1]"
    assert masked.meta["remark"] == {"回电": "[电话1]"}
    assert masked.id == "c1"


def test_a_name_given_late_is_masked_early():
    turns = [{"text": "马晓东那单怎么还没到"}, {"text": "收件人：马晓东"}]
    masked = mask(Conversation.from_dict({"id": "c", "turns": turns}))
    assert [t.text for t in masked.turns] == ["[姓名1]那单怎么还没到", "收件人：[姓名1]"]


def test_two_full_names_of_one_surname_differ():
    memory = Pseudonyms()
    assert mask_text("我叫张伟", memory) == "我叫[姓名1]"
    assert mask_text("收件人张敏", memory) == "收件人[姓名2]"


def test_keep_length():
    text = "我叫张伟，电话13812045678，住阳光花园6栋2单元501"
    masked = mask_text(text, keep_length=True)
    assert len(masked) == len(text)
    assert masked.startswith("我叫＊＊，电话电话1＊")


@pytest.mark.parametrize("hotline", ["12315", "12345", "110", "10086", "95588", "96315", "4008208820", "400-820-8820"])
@pytest.mark.parametrize("around", ["打{}", "电话{}", "QQ{}", "座机：{}", "微信{}", "身份证{}", "卡号{}"])
def test_hotlines_are_never_masked(hotline, around):
    text = around.format(hotline)
    assert mask_text(text) == text


@pytest.mark.parametrize("cue", ["订单号", "单号：", "运单 ", "订单编号是", "SF"])
@given(number=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_an_order_number_is_never_a_phone(cue, number):
    assert mask_text(f"{cue}{number}，麻烦查一下") == f"{cue}{number}，麻烦查一下"


@given(number=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), edge=st.sampled_from("0123456789"))
def test_digit_edges(number, edge):
    assert _found(number) == {(0, 11, "phone")}
    assert not any(k == "phone" for *_, k in _found(edge + number))
    assert not any(k == "phone" for *_, k in _found(number + edge))


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_any_text(text):
    spans = find_personal(text)
    assert all(text[s.start : s.end] == s.text and s.kind in KINDS for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert len(mask_text(text, keep_length=True)) == len(text)


_PIECES = ["我叫", "收件人：", "张", "伟", "13812045678", "幺三八", "-", " ", "浙江省", "中山路", "3号", "2单元", "订单号", "a@b.cn", "微信", "wx_123", "６２", "号", "😀", "\ud800", "\x00"]


@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
@settings(max_examples=300)
def test_any_mixture(text):
    spans = find_personal(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert find_kept(text) == tuple(sorted(find_kept(text)))
    assert len(mask_text(text, keep_length=True)) == len(text)


@pytest.mark.parametrize(
    "unit",
    ["1", "a", "幺", "张", "中", "路", "我叫", "138 ", "1-", "3号", "a@", "浙江省", "a.", "湖南路", "张先生", "订单号1", "中山路3号2栋", "一", "13812045678 ", "收件人：张伟 ", "@a.b"],
)
def test_time_is_linear(unit):
    def seconds(n: int) -> float:
        text = unit * (n // len(unit))
        start = time.perf_counter()
        mask_text(text)
        return time.perf_counter() - start

    seconds(1_000)
    small, large = seconds(20_000), seconds(200_000)
    assert large < max(0.3, 40 * small)  # ten times the text; quadratic would be a hundred times
    assert large < 8
