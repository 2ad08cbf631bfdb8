"""Rows with a header → conversations: what CSV, Excel, Parquet and flat JSON have in common.

With a speaker's column a row is a message, and rows with one id are a conversation. Without one, the
text column holds a transcript (``客服：…``) or a single text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from ..conversation import Conversation
from ..errors import InputError
from .grouping import Row, are_together, grouped, mixed
from .messages import Builder, Layout, ident_of
from .rejects import Ledger
from .wording import Names

__all__ = ["find_layout", "read_table"]

_HEADER_WITHIN = 10
_WHOLE_FILE = 20_000


def find_layout(rows: Iterator[Row], names: Names, where: str) -> Layout:
    """Find the header among the first ten rows.

    Raises
    ------
    InputError
        When none of them names a column of text, or one that the user mapped is missing.
    """
    best: tuple[dict[str, int], list[Any]] = ({}, [])
    for n, (_, cells) in enumerate(itertools.islice(rows, _HEADER_WITHIN), 1):
        fields = names.columns(cells)
        if "text" in fields and not names.missing(cells):
            return Layout(n, fields, tuple("" if c is None else str(c).strip() for c in cells))
        if len(fields) > len(best[0]):
            best = fields, cells
    fields, cells = best
    wanted = "a header with a column of text (内容, 消息内容, content …), an id (会话ID …) and a speaker (发送方 …)"
    if names.maps_columns and (gone := names.missing(cells)):
        raise InputError(
            f"no column is called {', '.join(gone)}",
            where=f"{where}, header",
            expected=_listed(fields, cells),
            mend="mend --map",
        )
    raise InputError(
        "no column of text is recognised",
        where=f"{where}, header",
        expected=wanted,
        mend=_listed(fields, cells) + "; name them: --map 列名=text,列名=id,列名=speaker",
    )


def _listed(fields: dict[str, int], cells: list[Any]) -> str:
    """Name the header's columns, unless the row may be a message itself."""
    if len(fields) < 2:
        return "the first rows name no columns that are known"
    return "the columns are " + ", ".join(str(c)[:20] for c in cells[:20])


def read_table(
    rows: Callable[[Ledger | None], Iterator[Row]],
    names: Names,
    ledger: Ledger,
    stem: str,
    *,
    keys: Callable[[int], Iterator[Any]] | None = None,
    twice: bool = True,
    delimiter: str = ",",
) -> Iterator[Conversation]:
    """Yield the conversations of a table.

    Parameters
    ----------
    rows : callable
        Gives the rows from the start, header included, as (line, cells); takes the ledger for rows
        that it must refuse, or None to pass over them silently.
    keys : callable, optional
        Gives a column's values quicker than `rows` does.
    twice : bool
        Whether going through the rows twice costs less than a temporary copy of them.
    delimiter : str
        What stands between the cells of a last column whose text was not quoted.
    """
    layout = find_layout(rows(None), names, ledger.file)
    id_field = next(
        (f for f in ("id", "customer_id") if f in layout.fields and "speaker" in layout.fields), None
    )
    if "speaker" not in layout.fields and "id" in layout.fields:
        id_field = "id"
    width = len(layout.header)

    def fitting(listener: Ledger | None) -> Iterator[Row]:
        i_text = layout.fields["text"]
        for row in itertools.islice(rows(listener), layout.row, None):
            if len(row[1]) == width or _fits(row[1], width, i_text, delimiter, row[0], listener):
                yield row

    def keyed(listener: Ledger | None) -> Iterator[tuple[str, int, list[Any]]]:
        if id_field is None:
            yield from _unnamed(
                fitting(listener), stem if "speaker" in layout.fields else None, stem, ledger.file
            )
            return
        i = layout.fields[id_field]
        last: Any = None
        key = ""
        for line, cells in fitting(listener):
            if cells[i] != last:
                last = cells[i]
                key = ident_of(last)
            if key:
                yield key, line, cells
            elif listener is not None and any(c not in (None, "") for c in cells):
                listener.reject(line, "id", f"the row has no id in column {layout.header[i][:20]}")

    if id_field is None:
        stream = keyed(ledger)
        if "speaker" in layout.fields:
            ledger.note(None, "id", "no column of ids: the file is read as one conversation")
    else:
        if id_field != "id":
            ledger.note(None, "id", "no column of ids: one customer's messages are read as one conversation")
        cells = keys(layout.fields[id_field]) if keys is not None else (k for k, _, _ in keyed(None))
        together = twice and are_together(cells, ident_of)
        stream = keyed(ledger) if together else mixed(keyed(ledger))
    build = Builder(layout, names, ledger)
    for ident, group in grouped(stream, ledger.file):
        conversation = build(ident, group)
        if conversation is not None:
            yield conversation


def _unnamed(
    rows: Iterator[Row], whole: str | None, stem: str, file: str
) -> Iterator[tuple[str, int, list[Any]]]:
    """Name rows without an id: all as one conversation, or each by its line."""
    for n, (line, cells) in enumerate(rows, 1):
        if whole is not None and n > _WHOLE_FILE:
            raise InputError(
                f"{_WHOLE_FILE} messages without a conversation's id",
                where=f"{file}, line {line}",
                expected="a column such as 会话ID",
                mend="name it: --map 列名=id",
            )
        if any(c not in (None, "") for c in cells):
            yield whole or f"{stem}-{line}", line, cells


def _fits(
    cells: list[Any], width: int, i_text: int, delimiter: str, line: int, ledger: Ledger | None
) -> bool:
    """Mend a row with cells too many or too few, or reject it."""
    while len(cells) > width and cells[-1] in ("", None):
        cells.pop()
    if len(cells) > width and i_text == width - 1 and all(isinstance(c, str) for c in cells[i_text:]):
        cells[i_text:] = [delimiter.join(cells[i_text:])]  # a last column whose commas were not quoted
        if ledger is not None:
            ledger.note(line, "text", "the last cell has separators without quotes: it is put together again")
    if i_text < len(cells) <= width:
        cells += [None] * (width - len(cells))
        return True
    if ledger is not None and any(c not in ("", None) for c in cells):
        ledger.reject(
            line,
            "",
            f"the row has {len(cells)} cells, the header {width}; put cells with separators or line breaks in double quotes",
        )
    return False
