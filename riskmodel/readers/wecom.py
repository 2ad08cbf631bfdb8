"""企业微信会话存档: one decrypted JSON message a line (or an array of them).

Messages of one room, or between the same two people, are a conversation; the archive mixes them. Ids
that begin with ``wm`` or ``wo`` are external contacts: customers. ``wb`` is a robot. A recalled message
keeps its text, with ``recalled`` set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .grouping import Keyed, Row, grouped, mixed
from .objects import text_of
from .rejects import Ledger
from .source import MAX_CELL, Source
from .times import parse_time
from .values import loads, values
from .wording import Names

__all__ = ["is_message", "read"]

_CUSTOMER = ("wm", "wo")
_ROBOT = "wb"
_BODIES = {"external_redpacket": "redpacket", "docmsg": "doc", "markdown": "info", "news": "info"}


def is_message(value: dict[str, Any]) -> bool:
    """Whether an object is a message of the archive."""
    return "msgid" in value and ("msgtype" in value or value.get("action") in ("send", "recall", "switch"))


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations in the order in which they began."""
    for ident, rows in grouped(mixed(_keyed(source, ledger)), source.name):
        yield from _conversation(ident, rows, names, ledger)


def _keyed(source: Source, ledger: Ledger) -> Iterator[Keyed]:
    for line, value in values(source, ledger):
        if value.get("action") == "switch":
            continue  # an employee changed company: no message
        sender, receivers = value.get("from"), value.get("tolist") or []
        if not isinstance(sender, str) or not sender:
            ledger.reject(line, "from", "the message has no sender; expected a user's id")
            continue
        if isinstance(receivers, str):
            receivers = receivers.split(",")
        room = value.get("roomid")
        if isinstance(room, str) and room:
            key = room
        else:
            others = [r for r in receivers if isinstance(r, str) and r] if isinstance(receivers, list) else []
            if not others:
                ledger.reject(line, "tolist", "the message has neither a room nor a receiver")
                continue
            key = "|".join(sorted((sender, others[0]), key=lambda who: (not who.startswith(_CUSTOMER), who)))
        yield key, line, [value]


def _conversation(ident: str, rows: list[Row], names: Names, ledger: Ledger) -> Iterator[Conversation]:
    entries: list[Entry] = []
    places: dict[str, int] = {}
    withdrawn: list[tuple[str, Entry]] = []
    people: dict[Speaker, str] = {}
    for line, (value,) in rows:
        sender = value["from"]
        speaker = _speaker(sender, names)
        people.setdefault(speaker, sender)
        time = parse_time(_number(value.get("msgtime")))
        kind = value.get("msgtype")
        message_id = value.get("msgid")
        if kind == "revoke":
            revoke = value.get("revoke")
            before = revoke.get("pre_msgid") if isinstance(revoke, dict) else None
            entry = Entry(Turn(names.placeholder("revoke"), speaker, time, True), line)
            withdrawn.append((before if isinstance(before, str) else "", entry))
            continue
        text = _text(value, names)
        if len(text) > MAX_CELL:
            ledger.reject(line, "text", f"the text has more than {MAX_CELL} characters", ident)
            continue
        message_id = message_id if isinstance(message_id, str) else ""
        places.setdefault(message_id, len(entries))
        entries.append(Entry(Turn(text, speaker, time, value.get("action") == "recall"), line, message_id))
    for before, entry in withdrawn:
        if before and before in places:
            found = entries[places[before]]
            turn = found.turn
            entries[places[before]] = found._replace(turn=Turn(turn.text, turn.speaker, turn.time, True))
        else:  # the message itself is not in this file
            entries.append(entry)
    conversation = assemble(
        ident,
        entries,
        ledger,
        customer_id=people.get(Speaker.CUSTOMER),
        agent_id=people.get(Speaker.AGENT),
        channel="wecom",
    )
    if conversation is not None:
        yield conversation


def _speaker(user: str, names: Names) -> Speaker:
    if user.startswith(_CUSTOMER):
        return Speaker.CUSTOMER
    return Speaker.SYSTEM if user.startswith(_ROBOT) else names.speaker(user) or Speaker.AGENT


def _text(value: dict[str, Any], names: Names) -> str:
    """Return a message's words, or what stands for a picture, a card, a voice message."""
    kind = str(value.get("msgtype") or "")
    body = value.get(_BODIES.get(kind, kind))
    if body is None:
        body = value.get("content")
        if isinstance(body, str) and body[:1] == "{":
            try:
                body = loads(body.encode())
            except ValueError:
                return str(value["content"])
    if isinstance(body, str):
        return body
    shown = names.placeholder(kind) or f"[{kind[:30]}]"
    if not isinstance(body, dict):
        return shown
    if kind in ("text", "markdown"):
        return text_of(body) or ""
    if kind == "mixed" and isinstance(body.get("item"), list):
        parts = (_item(part, names) for part in body["item"] if isinstance(part, dict))
        return "\n".join(part for part in parts if part) or shown
    words = [
        str(body[k])
        for k in ("title", "description", "filename", "address", "votetitle", "wish", "topic")
        if isinstance(body.get(k), str) and body[k]
    ]
    if not words:
        return shown
    about = "：".join(dict.fromkeys(words))
    return f"{shown[:-1]}：{about}]" if kind == "file" else f"{shown}{about}"


def _item(part: dict[str, Any], names: Names) -> str:
    content = part.get("content")
    kind = str(part.get("type") or "")
    if isinstance(content, str) and content[:1] == "{":
        try:
            content = loads(content.encode())
        except ValueError:
            return content if isinstance(content, str) else ""
    return _text({"msgtype": kind, kind: content}, names)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else value
