"""Hostile files: bombs, giant cells, deep nesting, formulas; refused or read, in time and memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import riskmodel
from riskmodel import Conversation
from riskmodel.batch import score_file
from riskmodel.errors import InputError
from riskmodel.readers import Reject, read_conversations

openpyxl = pytest.importorskip("openpyxl")
GOOD = {"id": "a", "turns": [{"speaker": "customer", "text": "你好"}]}


def read(data: bytes, format: str = "auto") -> tuple[list[Conversation], list[Reject]]:
    rejects: list[Reject] = []
    return list(read_conversations(io.BytesIO(data), format, rejects=rejects.append)), rejects


def workbook(change: Callable[[str, bytes], bytes]) -> bytes:
    """Return a small workbook with its parts changed."""
    book = openpyxl.Workbook()
    for row in (["会话ID", "发送方", "内容"], ["c", "客户", "你好"]):
        book.active.append(row)
    plain, out = io.BytesIO(), io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return out.getvalue()


def with_row(number: int, text: str) -> bytes:
    cells = "".join(f'<c r="{c}{number}" t="inlineStr"><is><t>{t}</t></is></c>' for c, t in zip("ABC", ("c", "客户", text), strict=True))
    row = f'<row r="{number}">{cells}</row>'.encode()
    return workbook(lambda name, data: data.replace(b"</sheetData>", row + b"</sheetData>") if "sheet1" in name else data)


def test_a_workbook_that_unpacks_without_end() -> None:
    giant = with_row(3, "大" * (25 << 20))  # 75 MB of one character
    assert len(giant) < 200_000
    with pytest.raises(InputError, match="unpacks to far more"):
        read(giant)
    bloated = workbook(lambda name, data: data + b" " * (80 << 20) if name.endswith("styles.xml") else data)
    with pytest.raises(InputError, match="unpacks to far more"):
        read(bloated)


def test_a_row_beyond_the_end_of_a_sheet_is_not_counted_up_to() -> None:
    with pytest.raises(InputError, match="workbook"):
        read(with_row(99_999_999_999, "在"))


def test_entities_that_multiply() -> None:
    lines = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(10))
    head = f'<?xml version="1.0"?><!DOCTYPE x [{lines}]>'.encode()

    def change(name: str, data: bytes) -> bytes:
        return head + data[data.index(b"<worksheet") :].replace("你好".encode(), b"&a9;") if "sheet1" in name else data

    with_inline = workbook(lambda n, d: change(n, d).replace(b"</sheetData>", b'<row r="3"><c r="C3" t="inlineStr"><is><t>&a9;</t></is></c></row></sheetData>') if "sheet1" in n else d)
    try:
        conversations, _ = read(with_inline)
    except InputError:
        return
    assert all(len(t.text) < 1_000_000 for c in conversations for t in c.turns)


def test_files_of_the_machine_are_not_read_through_entities(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("机密内容", "utf-8")
    head = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'.encode()
    row = b'<row r="3"><c r="A3" t="inlineStr"><is><t>c</t></is></c><c r="C3" t="inlineStr"><is><t>&s;</t></is></c></row>'
    data = workbook(lambda n, d: head + d[d.index(b"<worksheet") :].replace(b"</sheetData>", row + b"</sheetData>") if "sheet1" in n else d)
    try:
        conversations, _ = read(data)
    except InputError:
        return
    assert "机密" not in str(conversations)


def test_a_packed_file_of_one_endless_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", 1) as out:
        out.write(json.dumps(GOOD).encode() + b"\n")
        for _ in range(200):
            out.write(b" " * (1 << 20))
        out.write(b"\n" + json.dumps(GOOD | {"id": "b"}).encode() + b"\n")
    assert path.stat().st_size < 2 << 20
    code = (
        "import sys; from riskmodel.readers import read_conversations as r\n"
        "found = [c.id for c in r(sys.argv[1], 'jsonl', rejects=lambda _: None)]\n"
        # Not getrusage: its maximum is handed down by the process that started this one.
        "peak = [x.split()[1] for x in open('/proc/self/status') if x.startswith('VmHWM')] if sys.platform == 'linux' else [0]\n"
        "print(found, *peak)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("['a', 'b']"), done.stderr
    assert int(done.stdout.split()[-1]) < 700 << 10  # kilobytes: the line is longer than what is held


@pytest.mark.parametrize("format", ["csv", "json", "jsonl"])
def test_a_cell_of_a_hundred_megabytes(format: str) -> None:
    text = "x" * (100 << 20)
    if format == "csv":
        data = f"会话ID,发送方,内容\nc,客户,好\nc,客户,{text}\nc,客服,在\n".encode()
    else:
        rows = [json.dumps(GOOD), '{"id": "b", "turns": [{"text": "' + text + '"}]}', json.dumps(GOOD | {"id": "c"})]
        data = ("\n".join(rows) if format == "jsonl" else "[" + ",\n".join(rows) + "]").encode()
    conversations, rejects = read(data, format)
    assert {t.text for c in conversations for t in c.turns} <= {"你好", "好", "在"}
    assert len(conversations) >= 1
    assert [r for r in rejects if not r.kept]


@pytest.mark.parametrize("depth", [500, 5_000, 200_000])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_json(depth: int, pair: str) -> None:
    head, tail = (pair[:-1], pair[-1])
    deep = head * depth + "1" + tail * depth
    inside = json.dumps(GOOD)[:-1] + f', "extra": {deep}' + "}"
    for format in ("jsonl", "json"):
        rejects: list[Reject] = []
        try:
            for c in read_conversations(io.BytesIO((inside + "\n" + json.dumps(GOOD)).encode()), format, rejects=rejects.append):
                assert c.id == "a"
        except InputError:
            pass


def test_numbers_and_keys_without_end() -> None:
    data = "\n".join(
        [
            '{"id": ' + "9" * 100_000 + ', "turns": [{"text": "a"}]}',
            '{"id": "x", "turns": [{"text": "a", "time": 1e999}]}',
            "{" + ",".join(f'"k{i}": 1' for i in range(50_000)) + ', "id": "y", "turns": [{"text": "b"}]}',
        ]
    )
    conversations, _ = read(data.encode(), "jsonl")
    assert "y" in {c.id for c in conversations}


DANGEROUS = ["=1+1", " =1+1", "＝1+1", "+1", "-1", "@SUM(A1)", "＠a", "\t=1", "\r=1", "\n=1", "=HYPERLINK(\"http://x\",\"y\")"]


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_no_cell_is_a_formula(model: riskmodel.RiskModel, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"o.{ending}"
    said = [Conversation.from_dict({"id": i, "turns": [{"speaker": "customer", "text": f"{i}我要打12315投诉"}]}) for i in DANGEROUS]
    score_file(said, out, model)
    if ending == "csv":
        with out.open(encoding="utf-8-sig", newline="") as file:
            cells = [c for row in csv.reader(file) for c in row]
    else:
        sheet = openpyxl.load_workbook(out).active
        assert not [c.coordinate for row in sheet.iter_rows() for c in row if c.data_type == "f"]
        cells = [str(c.value) for row in sheet.iter_rows() for c in row if c.value is not None and not isinstance(c.value, float)]
    texts = [c for c in cells if not re.fullmatch(r"-?[\d.e-]+", c)]
    assert not [c for c in texts if c.lstrip()[:1] in tuple("=+-@＝＋－＠") or c[:1] in ("\t", "\r", "\n")]


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", "json", "jsonl"])
@pytest.mark.parametrize("ident", ["a\x00b", "a\x0bb", "\ufffe", "\ud800", "\U0010ffff", "../../etc/passwd", "a" * 40_000])
def test_any_id_and_any_character_can_be_written(model: riskmodel.RiskModel, tmp_path: Path, ending: str, ident: str) -> None:
    said = Conversation.from_dict({"id": ident, "turns": [{"speaker": "customer", "text": "我要打12315\x0b投\x00诉\ud83d你们"}]})
    out = tmp_path / f"o.{ending}"
    assert score_file([said], out, model).conversations == 1
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_deep_meta_and_strange_types_are_input_errors() -> None:
    for bad in (None, 1, [], "x", {"id": "a"}, {"id": "a", "turns": 3}, {"id": "a", "turns": [3]}, {"id": [], "turns": []}, {"id": "a", "turns": [{"text": b"x"}]}):
        with pytest.raises(InputError):
            Conversation.from_dict(bad)  # type: ignore[arg-type]
