"""JSON Lines: the contract's own format first, other objects by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation
from ..errors import InputError
from .grouping import Row
from .objects import conversation_of, has_turns
from .rejects import Ledger
from .source import MAX_CELL, Source
from .table import read_table
from .values import json_lines, loads, values
from .wording import Names

__all__ = ["contract", "messages", "read"]


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a file with one JSON object a line.

    An object is a conversation (the contract's keys, or ``messages``, ``对话`` and the like) or, when
    the first one has no list of turns, a message with its conversation's id.
    """
    first = next((v for line in source.text_head.splitlines()[:20] if (v := _object(line)) is not None), None)
    if (
        first is not None
        and not has_turns(first, names)
        and "turns" not in first
        and "text" in names.columns(list(first))
    ):
        yield from messages(source, names, ledger)
        return

    def build(value: Any, line: int) -> Conversation | None:
        return contract(value, names, ledger, line, source.stem)

    yield from json_lines(source, ledger, build)


def contract(value: Any, names: Names, ledger: Ledger, line: int, stem: str) -> Conversation | None:
    """Build a conversation, quickly where the object keeps to the contract."""
    if not isinstance(value, dict):
        ledger.reject(line, "", f"a conversation is a {type(value).__name__}; expected a JSON object")
        return None
    turns = value.get("turns")
    problem: InputError | None = None
    if isinstance(turns, list) and turns:
        first = turns[0]
        own = not isinstance(first, dict) or "speaker" in first or "speaker" not in names.columns(list(first))
        time = first.get("time") if isinstance(first, dict) else None
        if own and (not isinstance(time, str) or time[10:11] == "T"):
            try:
                made = Conversation.from_dict(value)
            except InputError as error:
                problem = error
            else:
                if all(len(turn.text) <= MAX_CELL for turn in made.turns):
                    return made
    if "turns" in value and not isinstance(turns, list):
        ledger.reject(
            line, "turns", f"turns is a {type(turns).__name__}; expected a list of objects", _id(value)
        )
        return None
    if problem is not None and problem.where in ("field id", ""):
        field = problem.where.removeprefix("field ")
        ledger.reject(line, field, f"{problem.what}; expected {problem.expected}", _id(value))
        return None
    return conversation_of(value, names, ledger, line, stem)


def messages(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of JSON objects that are a message each, with their conversation's id."""
    source.keep()
    header = list(next(value for _, value in values(source, None)))
    places = {name: i for i, name in enumerate(header)}

    def rows(listener: Ledger | None) -> Iterator[Row]:
        yield 0, list(header)
        for line, value in values(source, listener):
            cells: list[Any] = [None] * len(header)
            for name, cell in value.items():
                if name in places:
                    cells[places[name]] = cell
            yield line, cells

    yield from read_table(rows, names, ledger, source.stem)


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = loads(line.encode("utf-8", "replace"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _id(value: dict[str, Any]) -> str | None:
    ident = value.get("id")
    return ident if isinstance(ident, str) and ident else None
