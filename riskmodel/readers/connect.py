"""Amazon Connect chat: ``Participants`` and ``Transcript``, raw or after Contact Lens."""

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

__all__ = ["is_contact", "read"]


def is_contact(value: dict[str, Any]) -> bool:
    """Whether an object is a contact."""
    return isinstance(value.get("Transcript"), list) and ("Participants" in value or "ContactId" in value)


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the contacts; joins, leaves and receipts are no messages."""
    for n, (line, value) in enumerate(values(source, ledger), 1):
        inner = value.get("CustomerMetadata")
        ident = _word(value.get("ContactId")) or _word(
            inner.get("ContactId") if isinstance(inner, dict) else None
        )
        ident = ident or _word(value.get("InitialContactId")) or f"{source.stem}-{n}"
        items = value.get("Transcript")
        if not isinstance(items, list):
            ledger.reject(line, "Transcript", "no Transcript; expected a list of messages", ident)
            continue
        people = value.get("Participants")
        roles = {
            p["ParticipantId"]: p.get("ParticipantRole")
            for p in (people if isinstance(people, list) else [])
            if isinstance(p, dict) and isinstance(p.get("ParticipantId"), str)
        }
        entries = []
        for item in items:
            entry = _entry(item, roles, line, ident, names, ledger)
            if entry is not None:
                entries.append(entry)
        conversation = assemble(ident, entries, ledger, channel=_word(value.get("Channel")))
        if conversation is not None:
            yield conversation


def _entry(
    item: Any, roles: dict[str, Any], line: int, ident: str, names: Names, ledger: Ledger
) -> Entry | None:
    if not isinstance(item, dict):
        ledger.reject(line, "Transcript", f"an item is a {type(item).__name__}; expected an object", ident)
        return None
    kind = _word(item.get("Type")) or "MESSAGE"
    if kind == "EVENT" or ".event." in _word(item.get("ContentType")):
        return None
    text = _word(item.get("Content"))
    if not text and isinstance(item.get("Attachments"), list):
        files = [_word(a.get("AttachmentName")) for a in item["Attachments"] if isinstance(a, dict)]
        text = "".join(f"[文件：{f[:40]}]" if f else "[文件]" for f in files)
    if len(text) > MAX_CELL:
        ledger.reject(line, "Content", f"the text has more than {MAX_CELL} characters", ident)
        return None
    who = _word(item.get("ParticipantId"))
    role = _word(item.get("ParticipantRole")) or _word(roles.get(who)) or who
    speaker = names.speaker(role) if role else None
    if speaker is None:
        ledger.note(line, "ParticipantRole", "the role is not known: the turn is kept as unknown", ident)
    time = parse_time(_word(item.get("AbsoluteTime")))
    return Entry(Turn(text, speaker or Speaker.UNKNOWN, time), line, _word(item.get("Id")))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
