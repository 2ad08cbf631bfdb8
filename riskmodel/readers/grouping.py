"""Rows of one conversation together, in memory that does not grow with the file.

A table whose conversations stand together is streamed. One that mixes them (sorted by time over all
conversations) is put through a private temporary database on disk, and comes out in the order of
first appearance: no row is lost, no conversation is split, and both ways give the same result.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from ..errors import InputError

__all__ = ["Row", "are_together", "grouped", "mixed"]

#: Where a row stands, and its cells.
Row = tuple[int, list[Any]]
Keyed = tuple[str, int, list[Any]]

_EXACT = 20_000
_MAX_TURNS = 200_000


def are_together(cells: Iterable[Any], ident: Callable[[Any], str]) -> bool:
    """Whether rows of one conversation stand together. Takes 8 bytes a conversation.

    Parameters
    ----------
    cells : iterable
        The column of ids.
    ident : callable
        Makes an id of a cell; an empty one is passed over.
    """
    import numpy as np

    seen: set[str] = set()
    hashes = array("q")
    last = ""
    for cell, _ in itertools.groupby(cells):
        name = ident(cell)
        if name in ("", last):
            continue
        last = name
        if len(seen) < _EXACT:
            if name in seen:
                return False
            seen.add(name)
        hashes.append(hash(name))
    codes = np.sort(np.frombuffer(hashes, dtype=np.int64)) if hashes else np.empty(0, np.int64)
    return not bool((codes[1:] == codes[:-1]).any())


def grouped(rows: Iterable[Keyed], where: str) -> Iterator[tuple[str, list[Row]]]:
    """Yield each conversation's rows, for rows that stand together."""
    group: list[Row] = []
    current: str | None = None
    for key, line, cells in rows:
        if key != current:
            if current is not None:
                yield current, group
            current, group = key, []
        elif len(group) >= _MAX_TURNS:
            raise InputError(
                f"a conversation has more than {_MAX_TURNS} messages",
                where=f"{where}, line {line}",
                expected="a column with the conversation's own id",
                mend="name it: --map 会话ID=id",
            )
        group.append((line, cells))
    if current is not None:
        yield current, group


def mixed(rows: Iterable[Keyed]) -> Iterator[Keyed]:
    """Yield rows so that conversations stand together, in the order in which each began."""
    database = sqlite3.connect("", isolation_level=None)  # "" is a temporary file that only we can open
    try:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, key TEXT, line INTEGER, cells BLOB)")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO rows (key, line, cells) VALUES (?, ?, ?)",
            ((_clean(key), line, _pack(cells)) for key, line, cells in rows),
        )
        database.execute("CREATE INDEX by_key ON rows (key, n)")
        cursor = database.execute(
            "WITH firsts AS (SELECT key AS name, MIN(n) AS first FROM rows GROUP BY key)"
            " SELECT key, line, cells FROM firsts JOIN rows ON key = name ORDER BY first, n"
        )
        for key, line, cells in cursor:
            yield key, line, orjson.loads(cells)
    except sqlite3.Error as error:
        raise InputError(
            f"conversations could not be put together on disk ({error})",
            expected="room for a temporary copy of the file",
            mend="name a larger folder in TMPDIR, or sort the file by conversation",
        ) from None
    finally:
        database.close()


def _pack(cells: list[Any]) -> bytes:
    try:
        return orjson.dumps(cells, default=str)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps([str(c) if isinstance(c, int) else c for c in cells], default=str).encode()


def _clean(key: str) -> str:
    return key.encode("utf-8", "replace").decode()
