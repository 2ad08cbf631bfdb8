"""Alibaba Cloud SCA (智能对话分析): tickets or results with ``dialogue(s)`` of role, words, begin, end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .rejects import Ledger
from .source import MAX_CELL, Source
from .times import parse_time
from .values import values
from .wording import Names

__all__ = ["is_ticket", "read"]

_IDS = ("tid", "taskId", "task_id", "callId", "call_id", "dialogueId", "id", "fileName", "name")


def is_ticket(value: dict[str, Any]) -> bool:
    """Whether an object is one ticket, or holds tickets."""
    turns = _turns(value)
    return turns is not None and any(isinstance(t, dict) and "words" in t for t in turns[:5])


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations."""
    for n, (line, value) in enumerate(values(source, ledger), 1):
        about: dict[str, Any] = {}
        for part in (value.get("recording"), value.get("context"), value):
            if isinstance(part, dict):
                about.update(part)
        ident = next(
            (str(about[k]) for k in _IDS if isinstance(about.get(k), (str, int)) and about[k] != ""), ""
        )
        ident = ident or f"{source.stem}-{n}"
        turns = _turns(value)
        if turns is None:
            ledger.reject(
                line, "dialogue", "no list of dialogues; expected objects with role and words", ident
            )
            continue
        start = parse_time(about.get("callTime") or about.get("beginTime") or about.get("begin_time"))
        entries, agent = [], None
        for turn in turns:
            entry = _entry(turn, start, line, ident, names, ledger)
            if entry is not None:
                entries.append(entry)
                if (
                    entry.turn.speaker is Speaker.AGENT
                    and agent is None
                    and isinstance(turn.get("identity"), str)
                ):
                    agent = turn["identity"]
        if entries or not turns:
            conversation = assemble(ident, entries, ledger, agent_id=agent, opened_at=start, ordered=False)
            if conversation is not None:
                yield conversation


def _turns(value: dict[str, Any]) -> list[Any] | None:
    return next((value[k] for k in ("dialogues", "dialogue") if isinstance(value.get(k), list)), None)


def _entry(turn: Any, start: str | None, line: int, ident: str, names: Names, ledger: Ledger) -> Entry | None:
    if not isinstance(turn, dict) or not isinstance(turn.get("words"), str):
        ledger.reject(line, "words", "a dialogue has no words; expected a string", ident)
        return None
    if len(turn["words"]) > MAX_CELL:
        ledger.reject(line, "words", f"the text has more than {MAX_CELL} characters", ident)
        return None
    role = turn.get("role")
    speaker = names.speaker(role) if isinstance(role, str) else None
    if speaker is None:
        ledger.note(
            line,
            "role",
            "the role is not known: the turn is kept as unknown; map it: --map ROLE=customer",
            ident,
        )
    time = parse_time(turn.get("beginTime"))
    begin = turn.get("begin")
    if time is None and start is not None and isinstance(begin, (int, float)) and 0 <= begin < 1e9:
        time = parse_time(dt.datetime.fromisoformat(start) + dt.timedelta(milliseconds=begin))
    return Entry(Turn(turn["words"], speaker or Speaker.UNKNOWN, time), line)
