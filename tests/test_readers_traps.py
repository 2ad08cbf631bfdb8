"""What real exports do to a reader: times, repeats, order, size, damage."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from riskmodel.conversation import Conversation, Speaker
from riskmodel.errors import InputError
from riskmodel.readers import FORMATS, Reject, read_conversations
from riskmodel.readers.encoding import sniff
from riskmodel.readers.grouping import are_together
from riskmodel.readers.source import MAX_CELL
from riskmodel.readers.times import Clock, parse_time
from riskmodel.readers.wording import FIELDS, Names, default_wording

C, A, S, U = Speaker.CUSTOMER, Speaker.AGENT, Speaker.SYSTEM, Speaker.UNKNOWN
SAMPLES = Path(__file__).parent.parent / "data" / "samples"


def read(data: str | bytes, format: str = "auto", **options: Any) -> tuple[list[Conversation], list[Reject]]:
    rejects: list[Reject] = []
    stream = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    return list(read_conversations(stream, format, rejects=rejects.append, **options)), rejects


def messages(rows: list[list[str]], header: str = "会话ID,发送方,内容,时间") -> str:
    out = io.StringIO()
    csv.writer(out).writerows([header.split(","), *rows])
    return out.getvalue()


# Times

TEN_PAST = "2026-05-05T10:03:00+08:00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-05 10:03:00", TEN_PAST),
        ("2026-05-05T10:03:00", TEN_PAST),
        ("2026-05-05T02:03:00Z", TEN_PAST),
        ("2026-05-05T02:03:00.000Z", TEN_PAST),
        ("2026-05-04T22:03:00-0400", TEN_PAST),
        ("2026/5/5 10:03", TEN_PAST),
        ("2026.05.05 10:03", TEN_PAST),
        ("2026年5月5日 10:03", TEN_PAST),
        ("2026年5月5日 星期二 上午10点03分", TEN_PAST),
        ("２０２６-05-05　10：03", TEN_PAST),
        ("2026-05-05 10:03:00.5", "2026-05-05T10:03:00.500+08:00"),
        ("2026/5/5 下午3:05", "2026-05-05T15:05:00+08:00"),
        ("2026/5/5 3:05 PM", "2026-05-05T15:05:00+08:00"),
        ("2026/5/5 12:05 AM", "2026-05-05T00:05:00+08:00"),
        ("2026-05-05", "2026-05-05T00:00:00+08:00"),
        ("20260505", "2026-05-05T00:00:00+08:00"),
        ("20260505100300", TEN_PAST),
        ("20260505 100300", TEN_PAST),
        ("1777946580", TEN_PAST),
        ("1777946580000", TEN_PAST),
        ("1777946580000000", TEN_PAST),
        (1777946580, TEN_PAST),
        (1777946580.25, "2026-05-05T10:03:00.250+08:00"),
        (1777946580123, "2026-05-05T10:03:00.123+08:00"),
        (1777946580000000000, TEN_PAST),
        (46147.41875, TEN_PAST),
        ("46147.41875", TEN_PAST),
        ("25/5/2026 10:03", "2026-05-25T10:03:00+08:00"),
        ("5/25/2026 10:03", "2026-05-25T10:03:00+08:00"),
        (dt.datetime(2026, 5, 5, 10, 3), TEN_PAST),
        (dt.datetime(2026, 5, 5, 2, 3, tzinfo=dt.UTC), TEN_PAST),
        (dt.date(2026, 5, 5), "2026-05-05T00:00:00+08:00"),
        ("5/6/2026 10:03", None),  # May or June
        ("05-05 10:03", None),  # of which year
        ("10:03", None),
        ("2026-02-30 10:03:00", None),
        ("2026-05-05 25:03:00", None),
        ("0001-01-01 00:00:00", None),
        ("9" * 400, None),
        ("昨天", None),
        (0, None),
        (-5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("", None),
    ],
)
def test_parse_time(value: object, expected: str | None) -> None:
    assert parse_time(value) == expected


def test_clock_passes_midnight() -> None:
    clock = Clock("2026-05-05T20:00:00+08:00")
    assert [clock.read(v) for v in ("23:58", "23:57", "00:03", dt.time(0, 4), "08:00:01")] == [
        "2026-05-05T23:58:00+08:00",
        "2026-05-05T23:57:00+08:00",
        "2026-05-06T00:03:00+08:00",
        "2026-05-06T00:04:00+08:00",
        "2026-05-06T08:00:01+08:00",
    ]
    assert Clock().read("10:03") is None


def test_clock_times_in_a_table() -> None:
    rows = [["c", "客户", "夜里", "23:59", "2026/5/5"], ["c", "客服", "早", "0:01", "2026/5/5"]]
    (conversation,), _ = read(messages(rows, "会话ID,发送方,内容,时间,会话开始时间"))
    assert [t.time for t in conversation.turns] == ["2026-05-05T23:59:00+08:00", "2026-05-06T00:01:00+08:00"]
    (conversation,), rejects = read(messages([["c", "客户", "夜里", "23:59"], ["c", "客服", "早", "很早"]]))
    assert [t.time for t in conversation.turns] == [None, None]
    assert [(r.line, r.field, r.kept) for r in rejects] == [(2, "time", True), (3, "time", True)]


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.datetimes(), st.times()))
def test_times_never_fail_and_come_out_whole(value: object) -> None:
    for result in (parse_time(value), Clock("2026-05-05T10:00:00+08:00").read(value)):
        assert result is None or dt.datetime.fromisoformat(result).utcoffset() == dt.timedelta(hours=8)


# Words of exports


def test_columns_file_is_sound() -> None:
    wording = default_wording()
    assert set(wording.columns) == {*FIELDS, "turns"}
    assert all(wording.columns.values())
    assert wording.speakers["客户"] is C
    assert wording.speakers["店小二"] is A


@pytest.mark.parametrize(
    ("names", "speaker"),
    [
        ("客户 顾客 访客 买家 用户 Customer END_USER 客户A 客户12 【客户】 王先生(客户) usr", C),
        (
            "坐席 座席 商家 店小二 客服01 客服-小美 客服（小美） 坐席A1001 HUMAN_AGENT agent 某某旗舰店:小美 某某官方旗舰店",
            A,
        ),
        ("机器人 智能客服 系统 bot AUTOMATED_AGENT 机器人小禾(机器人)", S),
        ("未知 unknown", U),
        ("王先生 客户服务满意 agentsmith 小美 Auto-Parts 客户-客服 0 1 12345", None),
    ],
)
def test_speakers(names: str, speaker: Speaker | None) -> None:
    for name in names.split():
        assert Names().speaker(name) is speaker, name


def test_unknown_speaker_stays_unknown_and_is_said_once() -> None:
    rows = [["c", "阿花", "在", ""], ["c", "阿花", "吗", ""], ["c", "", "？", ""]]
    (conversation,), rejects = read(messages(rows))
    assert [t.speaker for t in conversation.turns] == [U, U, U]
    assert [(r.line, r.kept) for r in rejects] == [(2, True)]
    assert "阿花" not in str(rejects)


# Messages


def test_repeats_recalls_and_order() -> None:
    header = "会话ID,消息ID,发送方,内容,时间,是否撤回"
    rows = [
        ["c", "3", "客户", "第三", "2026-05-05 10:02:00", "否"],
        ["c", "1", "客户", "第一", "2026-05-05 10:00:00", "否"],
        ["c", "2", "客服", "第二", "2026-05-05 10:01:00", "0"],
        ["c", "1", "客户", "第一", "2026-05-05 10:00:00", "否"],
        ["c", "3", "客户", "", "2026-05-05 10:05:00", "是"],
        ["c", "2", "客服", "另一句", "2026-05-05 10:03:00", ""],
    ]
    (conversation,), rejects = read(messages(rows, header))
    assert [(t.text, t.recalled) for t in conversation.turns] == [
        ("第一", False),
        ("第二", False),
        ("第三", True),
        ("另一句", False),
    ]
    assert [(r.line, r.kept) for r in rejects] == [(5, True), (7, True)]


def test_newest_first_is_turned_round() -> None:
    stamps = ["10:02", "10:01", "10:01", "10:00"]
    rows = [["c", "客户", t, f"2026/5/5 {s}"] for t, s in zip("丁丙乙甲", stamps, strict=True)]
    (conversation,), _ = read(messages(rows))
    assert [t.text for t in conversation.turns] == list("甲乙丙丁")


def test_order_stays_when_a_time_is_missing() -> None:
    rows = [
        ["c", "客户", "乙", "2026/5/5 10:02"],
        ["c", "客户", "甲", "2026/5/5 10:01"],
        ["c", "客户", "丙", ""],
    ]
    (conversation,), _ = read(messages(rows))
    assert [t.text for t in conversation.turns] == ["乙", "甲", "丙"]


def test_text_is_kept_as_it_is() -> None:
    texts = [
        "a&nbsp;&lt;b&#25237;",
        "[微笑]🐶",
        "你们客服：滚",
        "客服：这是我引用的",
        "  两边空格 ",
        "「您好」\n- - - -\n行",
        "x\ty",
        "\u200b零宽",
        "",
    ]
    (conversation,), _ = read(messages([["c", "客户", t, ""] for t in texts]))
    assert [t.text for t in conversation.turns] == texts


def test_pictures_and_cards_have_a_placeholder() -> None:
    rows = [
        ["c", "客户", "", "图片"],
        ["c", "客户", "", "语音"],
        ["c", "客户", "好", "文本"],
        ["c", "客户", "", "火星"],
    ]
    (conversation,), _ = read(messages(rows, "会话ID,发送方,内容,消息类型"))
    assert [t.text for t in conversation.turns] == ["[图片]", "[语音]", "好", ""]


def test_two_agents_and_one_sided() -> None:
    rows = [
        ["a", "客服01", "您好", ""],
        ["a", "客服02", "我来", ""],
        ["b", "买家", "在吗", ""],
        ["b", "买家", "？", ""],
    ]
    (two, one), _ = read(messages(rows))
    assert [t.speaker for t in two.turns] == [A, A]
    assert [t.speaker for t in one.turns] == [C, C]


def test_names_of_columns_that_are_ours_are_not_overwritten() -> None:
    (conversation,), _ = read("会话ID,角色,内容,turns,meta\nc,客户,在,9,x\n")
    assert conversation.meta == {"turns_": "9", "meta_": "x"}
    assert len(conversation.to_dict()["turns"]) == 1


# Size


def test_giant_cells_are_refused() -> None:
    giant = "大" * (MAX_CELL + 1)
    text = f'会话ID,发送方,内容\nc,客户,好\nc,客户,{giant}\nc,客户,"{giant}"\nc,客服,在\n'
    (conversation,), rejects = read(text)
    assert [t.text for t in conversation.turns] == ["好", "在"]
    assert [r.line for r in rejects if not r.kept] == [3, 4]
    rows = [{"id": "a", "turns": [{"text": giant}]}, {"id": "b", "turns": [{"text": "好"}, {"text": giant}]}]
    (conversation,), rejects = read("\n".join(json.dumps(r, ensure_ascii=False) for r in rows))
    assert (conversation.id, len(conversation.turns)) == ("b", 1)
    assert [(r.line, r.id) for r in rejects if not r.kept] == [(1, "a"), (2, "b")]


def test_endless_line_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskmodel.readers.source.MAX_LINE", 1000)
    good = '{"id": "a", "turns": [{"text": "x"}]}'
    conversations, rejects = read(f"{good}\n{'x' * 5000}\n{good}\n", "jsonl")
    assert len(conversations) == 2
    assert [r.line for r in rejects if not r.kept] == [2]
    assert "64 MB" in rejects[-1].reason


def test_ten_thousand_turns_are_linear() -> None:
    def seconds(n: int) -> float:
        rows = [
            ["c", "客户", f"第{i}句", f"2026-05-05 {i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}"]
            for i in range(n)
        ]
        transcript = "\n".join(f"客服：第{i}句" for i in range(n))
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            assert len(read(messages(rows[::-1]))[0][0].turns) == n
            assert len(read(transcript, "text")[0][0].turns) == n
            best = min(best, time.process_time() - start)
        return best

    assert seconds(10_000) < 8 * seconds(2_000) + 0.1  # five times as many turns


def lines_of(n: int, tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{n}.{kind}"
    with path.open("w", encoding="utf-8") as out:
        if kind == "csv":
            out.write("会话ID,发送方,内容\n")
        for i in range(n):
            if kind == "csv":
                out.write(f"c{i // 20},客户,第{i}句话，不知道说什么\n")
            else:
                out.write(
                    json.dumps({"id": f"c{i}", "turns": [{"speaker": "customer", "text": f"第{i}句话" * 9}]})
                    + "\n"
                )
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riskmodel.readers.source._CHUNK", 1 << 14)

    def peak(path: Path) -> int:
        tracemalloc.start()
        for _ in read_conversations(path):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    small, large = lines_of(3_000, tmp_path, kind), lines_of(15_000, tmp_path, kind)
    peak(small)
    assert peak(large) < 1.4 * peak(small) + 300_000


def test_are_together() -> None:
    assert are_together(["a", "a", "b", "c", "c"], str)
    assert not are_together(["a", "b", "a"], str)
    assert are_together((f"{i // 3}" for i in range(90_000)), str)
    assert not are_together([*map(str, range(30_000)), "25000"], str)
    assert are_together(["a", '="a"', "a", ""], lambda c: c.strip('="'))


def test_a_conversation_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskmodel.readers.grouping._MAX_TURNS", 10)
    with pytest.raises(InputError, match="--map"):
        read(messages([["c", "客户", "在", ""]] * 20))


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp950", "utf-16-le", "utf-16-be"])
def test_sniff(encoding: str) -> None:
    simple = "会话编号,内容\n1,我想问一下这个订单什么时候能到，都等了三天了\n"
    traditional = "會話編號,內容\n1,請問這個訂單什麼時候會到,已經等了三天了\n"
    data = (traditional if encoding == "cp950" else simple).encode(encoding)
    assert sniff(data, whole=True, where="x") == encoding
    assert sniff(data[:-3], whole=False, where="x") == encoding


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=60))
def test_utf8_is_never_taken_for_anything_else(text: str) -> None:
    assert sniff(text.encode(), whole=True, where="x") == "utf-8"


def test_ascii_decides_nothing() -> None:
    assert sniff(b"id,text\n1,ok\n", whole=True, where="x") is None


# Damage


def quiet(data: bytes, format: str) -> None:
    rejects: list[Reject] = []
    with contextlib.suppress(InputError):
        for conversation in read_conversations(io.BytesIO(data), format, rejects=rejects.append):
            assert conversation.turns
            assert Conversation.from_dict(conversation.to_dict())
            json.dumps(conversation.to_dict(), default=str).encode()
            "".join(t.text for t in conversation.turns).encode()
    for reject in rejects:
        assert reject.reason
        assert reject.line is None or reject.line >= 1


FORMAT = st.sampled_from(["auto", *FORMATS])
CELLS = st.sampled_from([",", '"', "\n", "\r\n", "\r", "\t", "客服：", "用户:", "[10:03]", "会话ID", "发送方", "内容", "2026-05-05 10:03:00", "c1", "\x00", "\ufeff", "=", "-----", "：", "(", "好"])  # fmt: skip
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "turns",
                    "speaker",
                    "text",
                    "time",
                    "messages",
                    "message_type",
                    "conversation_id",
                    "msgid",
                    "msgtype",
                    "from",
                    "tolist",
                    "roomid",
                    "action",
                    "revoke",
                    "mixed",
                    "item",
                    "content",
                    "dialogue",
                    "tickets",
                    "words",
                    "role",
                    "begin",
                    "Transcript",
                    "Participants",
                    "ContactId",
                    "entries",
                    "start_timestamp_usec",
                    "meta",
                    "sender",
                    "data",
                    "payload",
                    "customer_id",
                    "attachments",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@FUZZ
@given(st.binary(max_size=200), FORMAT)
@example(b"PK\x03\x04" + bytes(30), "auto")
@example(b"PAR1" + bytes(30) + b"PAR1", "auto")
@example(b"\xff\xfe", "auto")
@example(b"[" * 100_000, "json")
@example(b'{"a":' * 100_000, "jsonl")
@example(b'{"id": 1' + b"0" * 6000 + b"}", "jsonl")
@example(b'"', "json")
@example(b"\xff\xfe\x00\x00,\x00,\x00", "jsonl")
@example(b'{"a": "\\', "json")
def test_no_bytes_crash_a_reader(data: bytes, format: str) -> None:
    quiet(data, format)


@FUZZ
@given(
    st.lists(CELLS | st.text(max_size=3), max_size=40),
    FORMAT,
    st.sampled_from(["utf-8", "utf-16", "gb18030"]),
)
def test_no_text_crashes_a_reader(parts: list[str], format: str, encoding: str) -> None:
    quiet("".join(parts).encode(encoding, "replace"), format)


@FUZZ
@given(st.lists(JSONISH, max_size=4), st.booleans(), FORMAT)
def test_no_json_crashes_a_reader(values: list[Any], lines: bool, format: str) -> None:
    text = "\n".join(map(json.dumps, values)) if lines else json.dumps(values, indent=1)
    quiet(text.encode(), format)


@FUZZ
@given(
    st.sampled_from(sorted(p.name for p in SAMPLES.iterdir() if p.is_file())),
    st.integers(0, 6000),
    st.binary(max_size=4),
    st.booleans(),
)
def test_no_damage_to_a_sample_crashes_a_reader(name: str, place: int, put: bytes, cut: bool) -> None:
    data = (SAMPLES / name).read_bytes()
    place %= len(data)
    quiet(data[:place] + put + (b"" if cut else data[place + len(put) :]), "auto")


@FUZZ
@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=12)), min_size=1, max_size=12))
def test_every_row_of_a_table_comes_out(rows: list[tuple[str, str]]) -> None:
    rows = [
        (i, t)
        for i, t in rows
        if "\x00" not in t and "\r" not in t and t.encode("utf-8", "ignore").decode() == t
    ]
    conversations, rejects = read(messages([[i, "客户", t, ""] for i, t in rows]), "csv", encoding="utf-8")
    expected = {i: [t for j, t in rows if j == i] for i, _ in rows}
    assert {c.id: [t.text for t in c.turns] for c in conversations} == expected
    assert list(expected) == [c.id for c in conversations]
    assert not [r for r in rejects if not r.kept]
