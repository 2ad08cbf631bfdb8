"""Messages of one conversation → `Conversation`: repeats dropped, order restored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..conversation import Conversation, Turn
from .rejects import Ledger

__all__ = ["Entry", "assemble"]

_RESERVED = frozenset({"id", "turns", "customer_id", "agent_id", "channel", "opened_at", "meta"})


class Entry(NamedTuple):
    """A turn, where it stood, and its message id (empty when it has none)."""

    turn: Turn
    line: int
    message_id: str = ""


def assemble(
    ident: str,
    entries: list[Entry],
    ledger: Ledger,
    *,
    customer_id: str | None = None,
    agent_id: str | None = None,
    channel: str | None = None,
    opened_at: str | None = None,
    meta: Mapping[str, Any] | None = None,
    ordered: bool = False,
) -> Conversation | None:
    """Build a conversation; None, and a reject, when it has no messages.

    A message whose id and text came before is dropped with a note; a repeat that says “recalled” marks
    the first as recalled; the same id with another text is kept. When every turn has a time and
    `ordered` is false, turns are sorted by time, those of one moment in the order of the file
    (turned round when the file goes backwards).
    """
    if not entries:
        ledger.reject(None, "turns", "the conversation is empty", ident)
        return None
    if any(entry.message_id for entry in entries):
        entries = _without_repeats(entries, ledger, ident)
    turns = [entry.turn for entry in entries]
    extra = {k if k not in _RESERVED else f"{k}_": v for k, v in (meta or {}).items()}
    return Conversation(
        ident,
        tuple(turns if ordered else _in_order(turns)),
        customer_id or None,
        agent_id or None,
        channel or None,
        opened_at or None,
        **({"meta": MappingProxyType(extra)} if extra else {}),
    )


def _without_repeats(entries: list[Entry], ledger: Ledger, ident: str) -> list[Entry]:
    kept: list[Entry] = []
    first: dict[str, int] = {}
    for entry in entries:
        place = first.get(entry.message_id) if entry.message_id else None
        if place is None:
            if entry.message_id:
                first[entry.message_id] = len(kept)
            kept.append(entry)
            continue
        turn, before = entry.turn, kept[place].turn
        if turn.recalled and not before.recalled:
            kept[place] = kept[place]._replace(
                turn=Turn(before.text or turn.text, before.speaker, before.time, True)
            )
        elif turn.text == before.text:
            ledger.note(
                entry.line, "message_id", "this message came before: the repeat is dropped", ident, once=False
            )
        else:
            ledger.note(
                entry.line, "message_id", "a message id comes again with another text: both are kept", ident
            )
            kept.append(entry)
    return kept


def _in_order(turns: list[Turn]) -> list[Turn]:
    times = [t.time for t in turns if t.time is not None]
    if len(times) != len(turns):
        return turns
    ordered = sorted(times)
    if times == ordered:
        return turns
    if times[::-1] == ordered:
        turns = turns[::-1]
    return sorted(turns, key=lambda t: t.time or "")
