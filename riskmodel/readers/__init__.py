"""Any export → conversations: one file a format, streamed, with errors that teach.

How to add a format: ``docs/readers.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from ..conversation import Conversation
from ..errors import InputError
from . import alibaba, chatwoot, connect, delimited, excel, google, json_array, jsonl, parquet, plain, wecom
from .detect import detect
from .rejects import Ledger, Reject
from .source import Source
from .wording import Names

__all__ = ["FORMATS", "Reject", "detect_format", "parse_columns", "read_conversations"]

Reader = Callable[[Source, Names, Ledger], Iterator[Conversation]]

#: Format → its reader. ``auto`` is understood besides.
FORMATS: Mapping[str, Reader] = MappingProxyType(
    {
        "jsonl": jsonl.read,
        "json": json_array.read,
        "csv": delimited.read,
        "tsv": delimited.read,
        "excel": excel.read,
        "parquet": parquet.read,
        "text": plain.read,
        "wecom": wecom.read,
        "chatwoot": chatwoot.read,
        "alibaba": alibaba.read,
        "connect": connect.read,
        "google": google.read,
    }
)


def read_conversations(
    path_or_stream: str | Path | IO[Any],
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    rejects: Callable[[Reject], None] | None = None,
    *,
    encoding: str | None = None,
) -> Iterator[Conversation]:
    """Read the conversations of a file, one after the other.

    Parameters
    ----------
    path_or_stream : path, ``-`` for standard input, or stream
        A path ending in ``.gz`` is unpacked. A stream is not closed.
    format : str
        One of `FORMATS`, or ``auto``.
    columns : mapping, optional
        The export's own names → fields (``{"会话ID": "id"}``) or speakers (``{"小美": "agent"}``);
        `parse_columns` makes it of ``--map``.
    rejects : callable, optional
        Takes a `Reject` for each row that cannot be read, and notes (``kept`` is true) about rows
        that were mended. Without it the number of lost rows is logged.
    encoding : str, optional
        A Python codec, where recognising it fails.

    Yields
    ------
    Conversation

    Raises
    ------
    InputError
        When the file cannot be read at all. Opening and recognising happen in the call, not at the
        first conversation.
    """
    if format != "auto" and format not in FORMATS:
        raise InputError(
            f"unknown format {format[:30]!r}", where="--format", expected="one of auto, " + ", ".join(FORMATS)
        )
    names = Names(columns)
    source = Source(path_or_stream, encoding)
    try:
        chosen = detect(source, names) if format == "auto" else format
    except InputError:
        source.close()
        raise
    return _read(source, FORMATS[chosen], names, Ledger(source.name, rejects))


def _read(source: Source, reader: Reader, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    try:
        yield from reader(source, names, ledger)
        ledger.close()
    finally:
        source.close()


def detect_format(
    path_or_stream: str | Path | IO[Any],
    columns: Mapping[str, str] | None = None,
    *,
    encoding: str | None = None,
) -> str:
    """Return which of `FORMATS` a file is in, by its content and then its ending.

    A stream that cannot go back is read from: give its format to `read_conversations` another way.

    Raises
    ------
    InputError
        When it is none of them.
    """
    source = Source(path_or_stream, encoding)
    try:
        return detect(source, Names(columns))
    finally:
        source.close()


def parse_columns(text: str) -> dict[str, str]:
    """Read the value of ``--map``: ``会话ID=id,内容=text,发送方=speaker,小美=agent``.

    Raises
    ------
    InputError
        Naming the part that is not ``NAME=field``.
    """
    columns: dict[str, str] = {}
    for part in text.replace("，", ",").split(","):
        name, sign, target = part.rpartition("=")
        if not part.strip():
            continue
        if not sign or not name.strip():
            raise InputError(
                f"cannot understand {part.strip()[:40]!r}",
                where="--map",
                expected="会话ID=id,内容=text,发送方=speaker",
            )
        columns[name.strip()] = target.strip().lower()
    Names(columns)
    return columns
