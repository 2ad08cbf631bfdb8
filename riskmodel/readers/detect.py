"""Which format a file is in: by what it holds, then by its ending."""

from __future__ import annotations

import re
from typing import Any

from ..errors import InputError
from . import alibaba, chatwoot, connect, google, wecom
from .delimited import recognised_columns
from .plain import looks_like_transcript
from .source import Source
from .values import is_lines, loads, values
from .wording import Names

__all__ = ["detect"]

_ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".txt": "text",
    ".log": "text",
}
_ARRAY = re.compile(r'\s*\[\s*(?:[{\["\]]|-?\d+\s*[,\]])')


def detect(source: Source, names: Names) -> str:
    """Return the format's name.

    Raises
    ------
    InputError
        When it cannot be told.
    """
    head = source.head
    if head.startswith(b"PK\x03\x04"):
        return "excel"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(
            "this is an old Excel file (.xls) or one with a password",
            where=source.name,
            expected=".xlsx",
            mend="open it in Excel and save it as .xlsx",
        )
    if head.startswith(b"%PDF"):
        raise InputError(
            "this is a PDF", where=source.name, expected="text", mend="export the chats as CSV or Excel"
        )
    ending = _ENDINGS.get(source.suffix)
    text = source.text_head
    bare = text.lstrip()
    if not bare:
        if ending == "jsonl":
            return ending
        raise InputError(
            "the file is empty", where=source.name, expected="conversations", mend="check the export"
        )
    if bare[0] == "{" or _ARRAY.match(text):
        return _json(source)
    columns = recognised_columns(text, names)
    if columns >= 2 or (columns and ending in ("csv", "tsv")):
        return "tsv" if ending == "tsv" else "csv"
    if looks_like_transcript(text, names):
        return "text"
    if ending is not None:
        return ending
    raise InputError(
        "the format is not recognised",
        where=source.name,
        expected="JSON, CSV with a header, Excel, Parquet, or lines such as 客服：…",
        mend="name it: --format csv",
    )


def _json(source: Source) -> str:
    lines = is_lines(source.text_head)
    first = _first(source)
    if first is None:
        return "jsonl" if lines or source.suffix in (".jsonl", ".ndjson") else "json"
    if wecom.is_message(first):
        return "wecom"
    if chatwoot.is_conversation(first) or chatwoot.is_message(first):
        return "chatwoot"
    if alibaba.is_ticket(first):
        return "alibaba"
    if connect.is_contact(first):
        return "connect"
    if google.is_conversation(first):
        return "google"
    return "jsonl" if lines else "json"


def _first(source: Source) -> dict[str, Any] | None:
    """Return the first object, of the first 64 KB where the source can be read once only."""
    for line in source.text_head.splitlines():
        if line.strip():
            try:
                value = loads(line.encode("utf-8", "replace"))
            except ValueError:
                break
            if isinstance(value, dict) and not any(
                isinstance(v, list) and v and k != "tickets"
                for k, v in value.items()
                if k in ("data", "payload", "items")
            ):
                wrapped = value.get("tickets")
                return (
                    wrapped[0]
                    if isinstance(wrapped, list) and wrapped and isinstance(wrapped[0], dict)
                    else value
                )
            break
    try:
        source.keep()
        return next((value for _, value in values(source, None)), None)
    except InputError:
        return None
