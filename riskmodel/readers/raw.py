"""Rows of a plain table as they stand: header and cells, for labelled data of any column names.

The readers of conversations know what columns mean. Here the caller says so; encoding, separator,
sheets and damaged rows are treated in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from ..errors import InputError
from .assemble import assemble
from .delimited import find_delimiter, raw_rows
from .detect import detect
from .grouping import Row
from .objects import conversation_of, has_turns
from .rejects import Ledger, Reject
from .source import Source
from .transcript import Transcript, heading, unfolded
from .values import values
from .wording import Names

__all__ = ["conversation_of_text", "read_raw"]

_TABLES = ("csv", "tsv")


def read_raw(
    path: str | Path,
    columns: tuple[str, ...] = (),
    *,
    rejects: Callable[[Reject], None] | None = None,
    encoding: str | None = None,
) -> Iterator[Row]:
    """Yield a table's rows as (line, cells); the first is the header.

    Parameters
    ----------
    path : path
        .csv, .tsv, .xlsx, .parquet, .jsonl or .json. Of a workbook, the first sheet with a header is read.
    columns : tuple of str
        Columns that the caller will ask for: they tell the separator.

    Raises
    ------
    InputError
        When the file cannot be read as a table.
    """
    source = Source(path, encoding)
    try:
        ledger = Ledger(source.name, rejects)
        yield from _rows(source, columns, ledger)
        ledger.close()
    finally:
        source.close()


def _rows(source: Source, columns: tuple[str, ...], ledger: Ledger) -> Iterator[Row]:
    kind = _kind(source)
    if kind == "excel":
        yield from _sheet(source)
    elif kind == "parquet":
        yield from _parquet(source)
    elif kind == "json":
        yield from _objects(source, ledger)
    else:
        source.keep()
        delimiter = "\t" if kind == "tsv" else find_delimiter(source.text_head, Names(dict.fromkeys(columns[:1], "text")))
        yield from _even(raw_rows(source, delimiter, ledger), ledger)


def _kind(source: Source) -> str:
    endings = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
    if source.suffix in endings and not source.head.startswith((b"PK\x03\x04", b"PAR1")):
        return endings[source.suffix]
    found = detect(source, Names())
    if found in (*_TABLES, "excel", "parquet"):
        return found
    if source.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return "json"
    raise InputError(
        "this is not a table", where=source.name, expected="a .csv, .tsv, .xlsx, .parquet or .jsonl file with a text and a label column"
    )


def _even(rows: Iterator[Row], ledger: Ledger) -> Iterator[Row]:
    """Fill short rows up and reject those with cells beyond the header's."""
    width = 0
    for line, cells in rows:
        if not width:
            width = len(cells)
            yield line, [str(c).removeprefix("\ufeff") for c in cells]
            continue
        while len(cells) > width and cells[-1] in ("", None):
            cells.pop()
        if len(cells) > width:
            ledger.reject(line, "", f"the row has {len(cells)} cells, the header {width}; put cells with separators in double quotes")
        else:
            yield line, cells + [None] * (width - len(cells))


def _sheet(source: Source) -> Iterator[Row]:
    try:
        import openpyxl
    except ImportError:
        raise InputError("Excel files need openpyxl", where=source.name, mend="pip install 'riskmodel[excel]', or save the sheet as CSV") from None
    from .excel import sheet_rows, workbook

    with source.seekable() as stream:
        book = workbook(openpyxl, stream, source)
        try:
            for sheet in book.worksheets:
                rows = list(sheet_rows(sheet, source))
                if len(rows) > 1:
                    width = max(len(cells) for _, cells in rows)
                    yield from ((line, cells + [None] * (width - len(cells))) for line, cells in rows)
                    return
        finally:
            book.close()
    raise InputError("the workbook has no sheet with a header and rows", where=source.name)


def _parquet(source: Source) -> Iterator[Row]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("Parquet files need pyarrow", where=source.name, mend="pip install 'riskmodel[parquet]'") from None
    with source.seekable() as stream:
        try:
            table = pq.read_table(stream)
        except Exception:  # pyarrow raises a dozen kinds on damaged files
            raise InputError("the Parquet file cannot be read", where=source.name, mend="write it again, with pyarrow or Spark") from None
    yield 0, list(table.column_names)
    yield from enumerate((list(cells) for cells in zip(*(c.to_pylist() for c in table.columns), strict=True)), 1)


def _objects(source: Source, ledger: Ledger) -> Iterator[Row]:
    """JSON objects: keys are columns; an object with a list of turns gets a column ``turns`` of them."""
    source.keep()
    names = Names()
    header: dict[str, int] = {}
    rows: list[tuple[int, dict[str, Any]]] = []
    for line, value in values(source, ledger):
        if has_turns(value, names):
            made = conversation_of(value, names, ledger, line, source.stem)
            if made is None:
                continue
            value = {**{k: v for k, v in value.items() if not isinstance(v, (list, dict))}, "turns": made}
        for key in value:
            header.setdefault(key, len(header))
        rows.append((line, value))
    yield 0, list(header)
    for line, value in rows:
        yield line, [value.get(key) for key in header]


def conversation_of_text(ident: str, text: str, names: Names | None = None) -> Conversation:
    """Return a text as a conversation: a transcript where lines begin with speakers, else one customer's turn."""
    names = names or Names()
    lines = unfolded(text, names)
    if any(heading(line, names) is not None for line in lines):
        transcript = Transcript(names)
        transcript.feed_all(lines, 0)
        made = assemble(ident, transcript.entries(Ledger("", lambda _: None), ident), Ledger("", lambda _: None))
        if made is not None:
            return made
    return Conversation(ident, (Turn(text, Speaker.CUSTOMER),))
