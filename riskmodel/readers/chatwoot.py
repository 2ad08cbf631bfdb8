"""Chatwoot: conversations with their messages, as the API and webhooks write them, or messages alone.

``message_type`` 0 is the customer, 1 the agent, 2 (activity) and 3 (template) the system; a private
note never reached the customer and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .grouping import Keyed, grouped, mixed
from .rejects import Ledger
from .source import MAX_CELL, Source
from .times import parse_time
from .values import values
from .wording import Names

__all__ = ["is_conversation", "is_message", "read"]

_KINDS = {
    0: Speaker.CUSTOMER,
    1: Speaker.AGENT,
    2: Speaker.SYSTEM,
    3: Speaker.SYSTEM,
    "incoming": Speaker.CUSTOMER,
    "outgoing": Speaker.AGENT,
    "activity": Speaker.SYSTEM,
    "template": Speaker.SYSTEM,
}
_BOTS = ("AgentBot", "agent_bot", "Captain::Assistant", "captain_assistant")


def is_message(value: Any) -> bool:
    """Whether an object is a message of Chatwoot."""
    return (
        isinstance(value, dict)
        and "message_type" in value
        and ("conversation_id" in value or "sender_type" in value or "private" in value)
    )


def is_conversation(value: dict[str, Any]) -> bool:
    """Whether an object is a conversation of Chatwoot."""
    messages = value.get("messages")
    return isinstance(messages, list) and any(
        isinstance(m, dict) and "message_type" in m for m in messages[:5]
    )


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations."""
    for ident, rows in grouped(mixed(_keyed(source, ledger)), source.name):
        entries: list[Entry] = []
        about: dict[str, Any] = {}
        for line, (messages, known) in rows:
            about.update((k, v) for k, v in known.items() if v)
            for message in messages:
                entry = _entry(message, line, ident, names, ledger)
                if entry is not None:
                    entries.append(entry)
        if not entries:
            ledger.note(rows[0][0], "messages", "the conversation has no messages but private notes", ident)
            continue
        conversation = assemble(ident, entries, ledger, **about)
        if conversation is not None:
            yield conversation


def _keyed(source: Source, ledger: Ledger) -> Iterator[Keyed]:
    for line, value in values(source, ledger):
        messages = value.get("messages")
        if isinstance(messages, list):
            ident, known = value.get("id"), _about(value)
        else:
            messages, known = [value], {}
            ident = value.get("conversation_id")
            inside = value.get("conversation")
            if isinstance(inside, dict):
                ident, known = ident or inside.get("id") or inside.get("display_id"), _about(inside)
        if isinstance(ident, bool) or not isinstance(ident, (str, int)) or ident == "":
            ledger.reject(
                line, "id", "no conversation id; expected id beside messages, or conversation_id on a message"
            )
            continue
        yield str(ident), line, [messages, known]


def _about(value: dict[str, Any]) -> dict[str, str | None]:
    meta = _dict(value.get("meta"))
    channel = value.get("channel") or meta.get("channel")
    return {
        "customer_id": _word(_dict(meta.get("sender")).get("id")),
        "agent_id": _word(_dict(meta.get("assignee")).get("id")),
        "channel": channel.removeprefix("Channel::") if isinstance(channel, str) else None,
        "opened_at": parse_time(value.get("created_at") or value.get("timestamp")),
    }


def _entry(message: Any, line: int, ident: str, names: Names, ledger: Ledger) -> Entry | None:
    if not isinstance(message, dict):
        ledger.reject(line, "messages", f"a message is a {type(message).__name__}; expected an object", ident)
        return None
    if message.get("private") is True:
        return None
    kind = message.get("message_type")
    speaker = _KINDS.get(kind) if isinstance(kind, (int, str)) else None
    if speaker is None:
        speaker = Speaker.UNKNOWN
        ledger.note(
            line, "message_type", "a kind of message that is not known (0 to 3 are): kept as unknown", ident
        )
    sender = message.get("sender")
    if message.get("sender_type") in _BOTS or (isinstance(sender, dict) and sender.get("type") in _BOTS):
        speaker = Speaker.SYSTEM
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    if len(text) > MAX_CELL:
        ledger.reject(line, "content", f"the text has more than {MAX_CELL} characters", ident)
        return None
    if not text:
        attachments = message.get("attachments")
        kinds = (
            [a.get("file_type") for a in attachments if isinstance(a, dict)]
            if isinstance(attachments, list)
            else []
        )
        text = "".join(names.placeholder(k) or "[附件]" for k in kinds)
    extra = message.get("content_attributes")
    deleted = isinstance(extra, dict) and extra.get("deleted") is True
    return Entry(
        Turn(text, speaker, parse_time(message.get("created_at")), deleted), line, _word(message.get("id"))
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
