"""Google Customer Experience Insights (CCAI): ``entries`` of text, role and ``start_timestamp_usec``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .rejects import Ledger
from .source import MAX_CELL, Source
from .times import parse_time
from .values import values
from .wording import Names

__all__ = ["is_conversation", "read"]


def is_conversation(value: dict[str, Any]) -> bool:
    """Whether an object is a conversation."""
    entries = value.get("entries")
    return isinstance(entries, list) and any(isinstance(e, dict) and "role" in e for e in entries[:5])


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations. Google writes one a file, without an id: it gets the file's name."""
    for n, (line, value) in enumerate(values(source, ledger), 1):
        info = value.get("conversation_info")
        known = {**(info if isinstance(info, dict) else {}), **value}
        ident = next(
            (
                str(known[k])
                for k in ("conversation_id", "id", "name")
                if isinstance(known.get(k), (str, int)) and known[k] != ""
            ),
            "",
        )
        ident = ident or (source.stem if n == 1 else f"{source.stem}-{n}")
        items = value.get("entries")
        if not isinstance(items, list):
            ledger.reject(line, "entries", "no entries; expected a list of messages", ident)
            continue
        entries: list[Entry] = []
        people: dict[Speaker, Any] = {}
        for i, item in enumerate(sorted(items, key=_moment)):
            if (
                not isinstance(item, dict)
                or not isinstance(item.get("text"), str)
                or len(item["text"]) > MAX_CELL
            ):
                ledger.reject(
                    line,
                    f"entries[{i}].text",
                    f"an entry has no text, or more than {MAX_CELL} characters",
                    ident,
                )
                continue
            role = item.get("role")
            speaker = names.speaker(role) if isinstance(role, str) else None
            if speaker is None:
                speaker = Speaker.UNKNOWN
                ledger.note(line, "role", "the role is not known: the turn is kept as unknown", ident)
            people.setdefault(speaker, item.get("user_id"))
            entries.append(Entry(Turn(item["text"], speaker, parse_time(_moment(item))), line))
        if entries or not items:
            made = assemble(
                ident,
                entries,
                ledger,
                customer_id=_word(people.get(Speaker.CUSTOMER)),
                agent_id=_word(people.get(Speaker.AGENT)),
            )
            if made is not None:
                yield made


def _moment(item: Any) -> int:
    """Microseconds; from 1970 or, in Google's own examples, from the beginning of the call."""
    value = item.get("start_timestamp_usec") if isinstance(item, dict) else None
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) else 0


def _word(value: Any) -> str:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
