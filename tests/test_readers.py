"""Readers, format by format: real files, what is understood in each, what is refused and where."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from riskmodel.conversation import Conversation, Speaker
from riskmodel.errors import InputError
from riskmodel.readers import FORMATS, Reject, detect_format, parse_columns, read_conversations

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
EXPECTED = {
    "alibaba_sca.json": ("alibaba", 2),
    "amazon_connect.jsonl": ("connect", 2),
    "array.json": ("json", 3),
    "asr.txt": ("text", 2),
    "calls.tsv": ("tsv", 3),
    "chats.xlsx": ("excel", 3),
    "chatwoot.json": ("chatwoot", 2),
    "conversations.jsonl": ("jsonl", 3),
    "google_cx.jsonl": ("google", 3),
    "messages.csv": ("csv", 4),
    "messages.parquet": ("parquet", 3),
    "qianniu.txt": ("text", 2),
    "tickets_gb18030.csv": ("csv", 2),
    "transcripts.txt": ("text", 3),
    "wecom.jsonl": ("wecom", 3),
}
C, A, S, U = Speaker.CUSTOMER, Speaker.AGENT, Speaker.SYSTEM, Speaker.UNKNOWN


def read(where: Any, format: str = "auto", **options: Any) -> tuple[list[Conversation], list[Reject]]:
    rejects: list[Reject] = []
    return list(read_conversations(where, format, rejects=rejects.append, **options)), rejects


def lost(rejects: list[Reject]) -> list[Reject]:
    return [r for r in rejects if not r.kept]


def table(rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


# Samples


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.iterdir() if p.is_file()))
def test_sample(name: str) -> None:
    format, count = EXPECTED[name]
    path = SAMPLES / name
    assert detect_format(path) == format
    conversations, rejects = read(path)
    assert len(conversations) == count
    assert not lost(rejects)
    assert len({c.id for c in conversations}) == count
    for c in conversations:
        assert all(t.text for t in c.turns)
        assert any(t.speaker is C for t in c.turns) or name == "calls.tsv"
        for t in c.turns:
            assert t.time is None or dt.datetime.fromisoformat(t.time).utcoffset() == dt.timedelta(hours=8)
        assert Conversation.from_dict(c.to_dict()) == c


def test_every_format_has_a_sample() -> None:
    assert {format for format, _ in EXPECTED.values()} == set(FORMATS)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bytes_and_file_give_the_same(name: str) -> None:
    path = SAMPLES / name
    from_file, _ = read(path, EXPECTED[name][0])
    stream = io.BytesIO(path.read_bytes())
    stream.name = str(path)
    assert read(stream)[0] == from_file


# JSON Lines and arrays


def test_jsonl_keeps_what_is_good_and_names_the_rest(write: Callable[..., Path]) -> None:
    good = {"id": "a", "turns": [{"speaker": "customer", "text": "在吗"}], "shop": "x"}
    lines = [json.dumps(good), '{"id": "b", "turns": [', "", '{"turns": [{"text": "无编号"}]}', '{"id": "c", "turns": []}', "3",
             json.dumps({"id": 7, "turns": [{"text": "没有人"}]}), '{"id": "d"}', '{"id": "e", "turns": "无"}']  # fmt: skip
    conversations, rejects = read(write("x.jsonl", "\n".join(lines)))
    assert [c.id for c in conversations] == ["a", "7"]
    assert conversations[0].meta["shop"] == "x"
    assert [(r.line, r.id) for r in lost(rejects)] == [
        (2, None),
        (4, None),
        (5, "c"),
        (6, None),
        (8, "d"),
        (9, "e"),
    ]
    assert lost(rejects)[1].field == "id"
    assert "无编号" not in str(rejects)


def test_jsonl_other_names_and_values(write: Callable[..., Path]) -> None:
    rows = [
        {"session_id": "s1", "messages": [{"role": "user", "content": "你好", "timestamp": 1777946400}, {"role": "assistant", "content": "您好", "timestamp": 1777946401000}]},
        {"id": "s2", "turns": [{"role": "客服", "text": "在"}, {"speaker": "张三", "text": "哦", "time": "2026/5/5 10:03"}]},
        {"id": "s3", "turns": [{"speaker": "customer", "text": [1]}, {"speaker": "买家", "text": "好"}]},
    ]  # fmt: skip
    conversations, rejects = read(write("x.jsonl", "\n".join(json.dumps(r) for r in rows)))
    first, second, third = conversations
    assert [(t.speaker, t.time) for t in first.turns] == [
        (C, "2026-05-05T10:00:00+08:00"),
        (S, "2026-05-05T10:00:01+08:00"),
    ]
    assert [(t.speaker, t.time) for t in second.turns] == [(A, None), (U, "2026-05-05T10:03:00+08:00")]
    assert [t.text for t in third.turns] == ["", "好"]
    assert [r.field for r in rejects if r.kept] == ["speaker"]


def test_jsonl_half_emoji_is_read(write: Callable[..., Path]) -> None:
    path = write("x.jsonl", b'{"id": "a", "turns": [{"speaker": "customer", "text": "\\u5dee\\ud83d"}]}\n')
    (conversation,), rejects = read(path)
    assert conversation.turns[0].text == "差\ufffd"
    assert rejects == []


def test_jsonl_of_messages(write: Callable[..., Path]) -> None:
    rows = [
        {"conversation_id": i % 2, "sender": "客户", "content": f"第{i}句", "shop": "甲"} for i in range(6)
    ]
    conversations, _ = read(write("x.jsonl", "\n".join(json.dumps(r) for r in rows)))
    assert [[t.text for t in c.turns] for c in conversations] == [
        ["第0句", "第2句", "第4句"],
        ["第1句", "第3句", "第5句"],
    ]
    assert conversations[0].meta == {"shop": "甲"}


def test_contract_turns_keep_their_order(write: Callable[..., Path]) -> None:
    turns = [
        {"text": "后", "time": "2026-05-05T11:00:00+08:00"},
        {"text": "先", "time": "2026-05-05T10:00:00+08:00"},
    ]
    row = {"id": "a", "turns": [{"speaker": "customer", **t} for t in turns]}
    (conversation,), _ = read(write("x.jsonl", json.dumps(row)))
    assert [t.text for t in conversation.turns] == ["后", "先"]


@pytest.mark.parametrize("wrap", ["{}", '{{"data": {}}}', '{{"code": 0, "data": {{"list": {}}}}}'])
def test_array_and_wrapped_array(write: Callable[..., Path], wrap: str) -> None:
    rows = [{"id": f"c{i}", "turns": [{"speaker": "customer", "text": '引号"和}括号]\\'}]} for i in range(50)]
    conversations, rejects = read(write("x.json", wrap.format(json.dumps(rows, indent=2))))
    assert [c.id for c in conversations] == [f"c{i}" for i in range(50)]
    assert rejects == []


def test_array_names_the_line_of_a_broken_element(write: Callable[..., Path]) -> None:
    text = '[\n {"id": "a", "turns": [{"text": "好"}]},\n {"id": "b",, "turns": []},\n 4,\n {"id": "c", "turns": [{"text": "好"}]},\n {"id": "d", "tu'
    conversations, rejects = read(write("x.json", text))
    assert [c.id for c in conversations] == ["a", "c"]
    assert [r.line for r in lost(rejects)] == [3, 6]


def test_pretty_printed_object(write: Callable[..., Path]) -> None:
    text = json.dumps(
        {"id": "a", "turns": [{"speaker": "agent", "text": "您好"}]}, indent=1, ensure_ascii=False
    )
    assert len(read(write("x.json", text + "\n" + text.replace('"a"', '"b"')))[0]) == 2


# Tables


def test_csv_line_numbers(write: Callable[..., Path]) -> None:
    text = '会话ID,发送方,内容\nc1,客户,"两\n行"\n,客户,没有编号\nc1,客服\nc1,客服,好\nc1,客服,好,多,余,的\n'
    conversations, rejects = read(write("x.csv", text))
    assert [t.text for t in conversations[0].turns] == ["两\n行", "好", "好,多,余,的"]
    assert [(r.line, r.kept) for r in rejects] == [(4, False), (5, False), (7, True)]
    assert "没有编号" not in str(rejects)


def test_csv_surplus_cells_in_the_middle_are_refused(write: Callable[..., Path]) -> None:
    conversations, rejects = read(
        write("x.csv", "会话ID,内容,发送方\nc1,好,客户\nc1,好,的,客户\nc1,行,客户,,\n")
    )
    assert [t.text for t in conversations[0].turns] == ["好", "行"]
    assert [r.line for r in lost(rejects)] == [3]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "\x01"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_csv_encodings_and_separators(write: Callable[..., Path], delimiter: str, encoding: str) -> None:
    rows = [["会话ID", "发送方", "内容", "时间"]]
    rows += [
        [f"c{i}", "客户", f"第{i}个问题，还没有人回答；\t请,看|一下", "2026/5/5 10:03"] for i in range(30)
    ]
    conversations, rejects = read(write("x.csv", table(rows, delimiter), encoding))
    assert [c.turns[0].text for c in conversations] == [r[2] for r in rows[1:]]
    assert conversations[0].turns[0].time == "2026-05-05T10:03:00+08:00"
    assert rejects == []


def test_excel_sep_line_and_title_rows(write: Callable[..., Path]) -> None:
    path = write("x.csv", "sep=;\n五月导出;;\n;;\n会话ID;发送方;内容\nc1;客户;在吗\n")
    (conversation,), _ = read(path)
    assert conversation.turns[0].text == "在吗"


def test_gb18030_after_much_ascii(write: Callable[..., Path]) -> None:
    rows = [
        ["id", "role", "content"],
        *([f"c{i}", "customer", "ok " * 30] for i in range(9000)),
        ["z", "customer", "退款到底什么时候到账，你们说过三天"],
    ]
    conversations, rejects = read(write("x.csv", table(rows), "gb18030"))
    assert conversations[-1].turns[0].text.startswith("退款")
    assert rejects == []


def test_a_broken_line_costs_only_itself(write: Callable[..., Path]) -> None:
    good = [f"c{i},客户,我要问一下订单的事".encode() for i in range(20)]
    path = write(
        "x.csv",
        b"\n".join(["会话ID,发送方,内容".encode(), *good[:5], b"c9,\xe5\xae\xa2\xe6,\xff\xfe", *good[5:]]),
    )
    conversations, rejects = read(path)
    assert len(conversations) == 20
    assert [r.line for r in rejects] == [7]


def test_binary_and_unknown_encodings_are_named(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="not text"):
        read(write("x.csv", b"\x7fELF\x02\x01" + bytes(300)))
    with pytest.raises(InputError, match="encoding"):
        read(write("y.csv", "äöüéè\n".encode("latin-1") * 50))


def test_unclosed_quote_costs_nothing(write: Callable[..., Path]) -> None:
    text = '会话ID,发送方,内容\nc1,客户,"没关引号\nc1,客服,在\nc2,客户,"好"的\nc3,客户,"说""好""的"\nc4,客户,"最后也没关\n'
    conversations, rejects = read(write("x.csv", text))
    assert [[t.text for t in c.turns] for c in conversations] == [
        ['"没关引号', "在"],
        ['"好"的'],
        ['说"好"的'],
        ['"最后也没关'],
    ]
    assert [(r.line, r.kept) for r in rejects] == [(2, True), (4, True), (6, True)]


def test_mixed_conversations_are_put_together(write: Callable[..., Path]) -> None:
    header = [["会话ID", "发送方", "内容", "时间"]]
    rows = [
        [f"c{i % 40}", "客户", f"{i}", f"2026-05-05 10:{i // 60 % 60:02d}:{i % 60:02d}"] for i in range(2000)
    ]
    together = sorted(rows, key=lambda r: int(r[0][1:]))
    mixed, _ = read(write("a.csv", table(header + rows)))
    streamed, _ = read(write("b.csv", table(header + together)))
    assert mixed == streamed
    assert sum(len(c.turns) for c in mixed) == 2000


def test_columns_are_mapped(write: Callable[..., Path]) -> None:
    path = write("x.csv", "甲,乙,丙\n1,小美,您好\n1,王先生,要退货\n")
    with pytest.raises(InputError, match="--map"):
        read(path, "csv")
    columns = parse_columns("甲=id，乙=speaker,丙=text,小美=agent,王先生=customer")
    (conversation,), _ = read(path, columns=columns)
    assert [t.speaker for t in conversation.turns] == [A, C]
    with pytest.raises(InputError, match="丁"):
        read(path, "csv", columns={"丁": "text"})
    with pytest.raises(InputError, match="one of id"):
        parse_columns("甲=nonsense")
    with pytest.raises(InputError, match="--map"):
        parse_columns("甲")


def test_no_header_error_holds_no_message(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError) as error:
        read(write("x.csv", "c1,客户,我的密码是一二三\nc1,客服,好的\n"), "csv")
    assert "密码" not in str(error.value)


def test_speaker_by_the_names_in_the_row(write: Callable[..., Path]) -> None:
    path = write(
        "x.csv",
        "会话ID,发送人,买家昵称,客服昵称,内容\nc,晚风,晚风,青禾,在\nc,青禾,晚风,青禾,在的\nc,路人,晚风,青禾,我也问\n",
    )
    (conversation,), rejects = read(path)
    assert [t.speaker for t in conversation.turns] == [C, A, U]
    assert [(r.line, r.field, r.kept) for r in rejects] == [(4, "speaker", True)]
    assert "路人" not in str(rejects)


def test_conversation_level_texts(write: Callable[..., Path]) -> None:
    rows = [
        ["工单号", "工单内容", "创建时间"],
        ["w1", "客服：您好\n用户：退款\n用户：说过“客服：不退”的", "2026-05-05"],
        ["w2", "一段没有角色的描述", "2026-05-06"],
        ["w3", "客服：您好<br>用户：他说 客服：滚 <br/>客服：抱歉", ""],
    ]
    conversations, rejects = read(write("x.csv", table(rows)))
    assert [[t.speaker for t in c.turns] for c in conversations] == [[A, C, C], [U], [A, C, A]]
    assert conversations[0].turns[2].text == "说过“客服：不退”的"
    assert conversations[2].turns[1].text == "他说 客服：滚"
    assert conversations[0].opened_at == "2026-05-05T00:00:00+08:00"
    assert [(r.line, r.kept) for r in rejects] == [(5, True)]


def test_rows_without_ids(write: Callable[..., Path]) -> None:
    one, notes = read(write("a.csv", "角色,内容\n客户,在吗\n客服,在\n"))
    assert [(c.id, len(c.turns)) for c in one] == [("a", 2)]
    assert [r.kept for r in notes] == [True]
    many, _ = read(write("b.csv", "内容\n在吗\n不在\n"))
    assert [c.id for c in many] == ["b-2", "b-3"]


def test_excel_ids_guarded_against_numbers(write: Callable[..., Path]) -> None:
    (conversation,), _ = read(
        write("a.csv", '会话ID,角色,内容\n"=""0012""",客户,在\n0012\t,客服,在\n\'0012,客户,好\n')
    )
    assert (conversation.id, len(conversation.turns)) == ("0012", 3)


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["说明", "此表由系统导出"])
    sheet = book.create_sheet("明细")
    sheet.append(["会话ID", "角色", "内容", "日期", "时间"])
    sheet.append([10086.0, "客户", "在吗", dt.datetime(2026, 5, 5), dt.time(23, 59)])
    sheet.append([])
    sheet.append([10086, "坐席", 46147.5, dt.datetime(2026, 5, 5), dt.time(0, 1)])
    sheet.append([10087, "客户", None, 46148, "10:00"])
    path = tmp_path / "x.xlsx"
    book.save(path)
    conversations, rejects = read(path)
    assert [c.id for c in conversations] == ["10086", "10087"]
    assert [t.time for t in conversations[0].turns] == [
        "2026-05-05T23:59:00+08:00",
        "2026-05-06T00:01:00+08:00",
    ]
    assert conversations[0].turns[1].text == "46147.5"
    assert conversations[1].turns[0].time == "2026-05-06T10:00:00+08:00"
    assert lost(rejects) == []
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="workbook"):
        read(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    with pytest.raises(InputError, match=r"\.xlsx"):
        read(path)


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    turns = [[{"speaker": "customer", "text": "在吗"}, {"speaker": "agent", "text": "在"}], []]
    pq.write_table(pa.table({"id": ["a", "b"], "turns": turns, "shop": ["甲", "乙"]}), path)
    conversations, rejects = read(path)
    assert [(c.id, c.meta["shop"], len(c.turns)) for c in conversations] == [("a", "甲", 2)]
    assert [(r.line, r.id) for r in rejects] == [(2, "b")]
    stamps = [dt.datetime(2026, 5, 5, 10, i, tzinfo=dt.UTC) for i in range(4)]
    pq.write_table(
        pa.table({"会话ID": [1, 2, 1, 2], "角色": ["客户"] * 4, "内容": list("甲乙丙丁"), "时间": stamps}),
        path,
    )
    conversations, _ = read(path)
    assert [[t.text for t in c.turns] for c in conversations] == [["甲", "丙"], ["乙", "丁"]]
    assert conversations[0].turns[0].time == "2026-05-05T18:00:00+08:00"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="Parquet"):
        read(path)


# Text


@pytest.mark.parametrize(
    ("line", "speaker", "text"),
    [
        ("客服：您好", A, "您好"),
        ("用户: 在吗", C, "在吗"),
        ("【客服】您好", A, "您好"),
        ("[客户]：在", C, "在"),
        ("客服01：您好", A, "您好"),
        ("客服-小美：您好", A, "您好"),
        ("客服(10:03)：您好", A, "您好"),
        ("[2026-05-05 10:03:22] 客服：您好", A, "您好"),
        ("2026/5/5 10:03 客户：在吗", C, "在吗"),
        ("[10:03] 访客：在吗", C, "在吗"),
        ("10:03:05 访客：在吗", C, "在吗"),
        ("0(agent):[00:00:01] 您好", A, "您好"),
        ("1(customer):[00:00:04] 喂", C, "喂"),
        ("机器人：请稍候", S, "请稍候"),
        ("[10:03] 小美：您好", U, "您好"),
    ],
)
def test_text_line(write: Callable[..., Path], line: str, speaker: Speaker, text: str) -> None:
    (conversation,), _ = read(write("x.txt", line + "\n"), "text")
    assert [(t.speaker, t.text) for t in conversation.turns] == [(speaker, text)]


@pytest.mark.parametrize(
    "line",
    [
        "你们客服：不退",
        "10:30 我等了一天：没人来",
        "地址：北京",
        "他说：客服：滚",
        "「客服：您好」",
        "Q：几点",
    ],
)
def test_text_line_that_starts_nothing(write: Callable[..., Path], line: str) -> None:
    (conversation,), _ = read(write("x.txt", f"用户：听我说\n{line}\n客服：您说\n"))
    assert [t.text for t in conversation.turns] == [f"听我说\n{line}", "您说"]


def test_text_parted_by_blank_lines_or_rules(write: Callable[..., Path]) -> None:
    blank = "客服：您好\n用户：在\n\n客服：您好\n用户：退款\n\n第二段还是用户的话\n"
    conversations, _ = read(write("x.txt", blank))
    assert [(c.id, len(c.turns)) for c in conversations] == [("x-1", 2), ("x-2", 2)]
    assert conversations[1].turns[1].text == "退款\n\n第二段还是用户的话"
    spaced = "客服：您好\n\n用户：在\n\n客服：好\n"
    assert [len(c.turns) for c in read(write("y.txt", spaced))[0]] == [3]
    ruled = "客服：您好\n\n用户：在\n-----\n客服：好\n用户：- - - - -\n行\n"
    assert [len(c.turns) for c in read(write("z.txt", ruled))[0]] == [2, 2]


def test_text_order_number_inside_a_message_parts_nothing(write: Callable[..., Path]) -> None:
    text = "会话ID：c1\n渠道：APP\n客服工号：8012\n日期：2026-05-05\n[23:59] 客服：已登记\n工单号：W1\n会话ID：在这里\n[00:01] 用户：好\n\n会话ID：c2\n用户：在\n"
    conversations, _ = read(write("x.txt", text))
    assert [c.id for c in conversations] == ["c1", "c2"]
    assert conversations[0].turns[0].text == "已登记\n工单号：W1\n会话ID：在这里"
    assert (conversations[0].channel, conversations[0].agent_id) == ("APP", "8012")
    assert [t.time for t in conversations[0].turns] == [
        "2026-05-05T23:59:00+08:00",
        "2026-05-06T00:01:00+08:00",
    ]


def test_text_without_speakers_is_said(write: Callable[..., Path]) -> None:
    (conversation,), rejects = read(write("x.txt", "就是一段话\n没有人称\n"))
    assert [t.speaker for t in conversation.turns] == [U]
    assert any(r.kept and r.field == "speaker" for r in rejects)


def test_blocks_with_two_shops_clerks_and_a_buyer(write: Callable[..., Path]) -> None:
    text = "某某旗舰店:小美 (2026-05-05 10:00:00):\n您好\n\n橘子 2026-05-05 10:01:00\n退货\n第二行\n\n某某旗舰店:阿来 2026-05-05 10:02:00\n转给我\n2026-05-05 10:03:00 橘子\n好\n"
    (conversation,), rejects = read(write("x.txt", text))
    assert [(t.speaker, t.text) for t in conversation.turns] == [
        (A, "您好"),
        (C, "退货\n第二行"),
        (A, "转给我"),
        (C, "好"),
    ]
    assert rejects == []


# Vendors' formats


def test_wecom(write: Callable[..., Path]) -> None:
    def message(i: str, who: str, to: list[str], at: int, kind: str = "text", **body: Any) -> str:
        return json.dumps(
            {
                "msgid": i,
                "action": "send",
                "from": who,
                "tolist": to,
                "roomid": "",
                "msgtime": at,
                "msgtype": kind,
                kind: body,
            }
        )

    at = 1777946400000
    lines = [
        message("1", "wmA", ["li"], at, content="我要退"),
        message("3", "wmA", ["li"], at + 2000, content="我告你们"),
        message("2", "li", ["wmA"], at + 1000, content="稍等"),
        message("1", "wmA", ["li"], at, content="我要退"),
        message("4", "wmA", ["li"], at + 3000, "revoke", pre_msgid="3"),
        message("5", "wmA", ["li"], at + 4000, "revoke", pre_msgid="没有"),
        message("6", "wbX", ["wmA"], at, content="自动"),
        message("7", "li", ["wmA"], at + 5000, "mixed", item=[{"type": "text", "content": '{"content": "看图"}'}, {"type": "image", "content": "{}"}]),
        json.dumps({"msgid": "8", "action": "send", "tolist": ["x"], "msgtype": "text", "text": {"content": "无名"}}),
        json.dumps({"msgid": "9", "action": "switch", "time": at, "user": "li"}),
    ]  # fmt: skip
    conversations, rejects = read(write("x.jsonl", "\n".join(lines)))
    first = conversations[0]
    assert [(t.text, t.recalled) for t in first.turns] == [
        ("我要退", False),
        ("稍等", False),
        ("我告你们", True),
        ("[撤回了一条消息]", True),
        ("看图\n[图片]", False),
    ]
    assert (first.id, first.customer_id, first.agent_id) == ("wmA|li", "wmA", "li")
    assert conversations[1].turns[0].speaker is S
    assert [(r.line, r.kept) for r in rejects] == [(9, False), (4, True)]


def test_chatwoot_messages_alone(write: Callable[..., Path]) -> None:
    rows = [{"id": i, "conversation_id": i % 2, "message_type": kind, "private": private, "content": "话", "created_at": 1777946400 + i, "content_attributes": {"deleted": i == 0}, "sender_type": sender}
            for i, (kind, private, sender) in enumerate([(0, False, "Contact"), (1, True, "User"), (1, False, "AgentBot"), ("outgoing", False, "User"), (9, False, "User")])]  # fmt: skip
    conversations, rejects = read(write("x.jsonl", "\n".join(map(json.dumps, rows))))
    assert [[(t.speaker, t.recalled) for t in c.turns] for c in conversations] == [
        [(C, True), (S, False), (U, False)],
        [(A, False)],
    ]
    assert [r.kept for r in rejects] == [True]


def test_google_times_from_the_beginning_of_the_call(write: Callable[..., Path]) -> None:
    entries = [
        {"text": "后", "role": "AGENT", "user_id": 2, "start_timestamp_usec": 5000000},
        {"text": "先", "role": "CUSTOMER", "user_id": 1, "start_timestamp_usec": 1000000},
    ]
    (conversation,), _ = read(write("call-7.json", json.dumps({"entries": entries}, indent=1)))
    assert (conversation.id, [t.text for t in conversation.turns], conversation.turns[0].time) == (
        "call-7",
        ["先", "后"],
        None,
    )


def test_connect_roles_by_participant(write: Callable[..., Path]) -> None:
    contact = {"CustomerMetadata": {"ContactId": "k"}, "Participants": [{"ParticipantId": "1", "ParticipantRole": "CUSTOM_BOT"}, {"ParticipantId": "2", "ParticipantRole": "CUSTOMER"}],
               "Transcript": [{"ParticipantId": "1", "Content": "您好", "Id": "a"}, {"ParticipantId": "2", "Content": "在", "Id": "b"}, {"Type": "ATTACHMENT", "ParticipantId": "2", "Attachments": [{"AttachmentName": "票.pdf"}]}]}  # fmt: skip
    (conversation,), _ = read(write("x.json", json.dumps(contact)))
    assert [(t.speaker, t.text) for t in conversation.turns] == [
        (S, "您好"),
        (C, "在"),
        (C, "[文件：票.pdf]"),
    ]


# Input


def test_errors_say_what_to_do(tmp_path: Path, write: Callable[..., Path]) -> None:
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (tmp_path / "none.csv", {}, "no such file"),
        (tmp_path, {}, "folder"),
        (write("e.csv", b""), {}, "empty"),
        (write("x.csv", "会话ID,内容\n"), {"format": "docx"}, "unknown format"),
        (write("y.csv", "会话ID,内容\n"), {"encoding": "klingon"}, "no encoding"),
        (write("r.csv", "会话ID,内容\n"), {"encoding": "rot13"}, "no encoding"),
        (write("z.bin", "什么都不是的一行"), {}, "format is not recognised"),
        (write("p.pdf", "%PDF-1.4"), {}, "PDF"),
        (write("g.csv.gz", b"\x1f\x8b" + b"broken" * 9), {}, "damaged"),
    ]
    for where, options, words in cases:
        with pytest.raises(InputError, match=words):
            read_conversations(where, **options)
    assert read(write("e.jsonl", b"")) == ([], [])
    assert read(write("h.csv", "会话ID,发送方,内容\n")) == ([], [])


def test_packed_file_and_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (SAMPLES / "messages.csv").read_bytes()
    expected, _ = read(SAMPLES / "messages.csv")
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(data))
    assert read(packed)[0] == expected

    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self._data.readinto(memoryview(buffer)[:999])

    assert read(io.BufferedReader(Pipe(data)))[0] == expected
    assert read(io.BufferedReader(Pipe(gzip.compress(data))))[0] == expected
    assert read(io.StringIO(data.decode("utf-8-sig")))[0] == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Pipe(data))))
    rejects: list[Reject] = []
    assert list(read_conversations("-", rejects=rejects.append)) == expected
    assert {r.file for r in rejects} == {"standard input"}


def test_lost_rows_are_logged_when_nobody_listens(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert (
        len(list(read_conversations(write("x.jsonl", '{"id": "a", "turns": [{"text": "好"}]}\n{坏\n')))) == 1
    )
    assert "1 rows" in caplog.text
    assert "坏" not in caplog.text


def test_levels_of_the_samples_are_mixed() -> None:
    texts = Counter(t.speaker for name in EXPECTED for c in read(SAMPLES / name)[0] for t in c.turns)
    assert min(texts[s] for s in (C, A, S)) >= 5
