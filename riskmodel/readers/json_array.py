"""A JSON array of conversations or messages, one object, or several pretty-printed ones."""

from __future__ import annotations

from collections.abc import Iterator

from ..conversation import Conversation
from ..errors import InputError
from .jsonl import contract, messages
from .objects import has_turns
from .rejects import Ledger
from .source import Source
from .values import values
from .wording import Names

__all__ = ["read"]


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a JSON array, or of one or several objects."""
    source.keep()
    first = next((value for _, value in values(source, None)), None)
    if first is None:
        if source.head.strip() in (b"[]", b"{}"):
            return
        raise InputError(
            "no JSON object can be read",
            where=source.name,
            expected='an array of objects: [{"id": …, "turns": [{"speaker": …, "text": …}]}]',
            mend="check that the export is complete",
        )
    if not has_turns(first, names) and "turns" not in first and "text" in names.columns(list(first)):
        yield from messages(source, names, ledger)
        return
    for line, value in values(source, ledger):
        made = contract(value, names, ledger, line, source.stem)
        if made is not None:
            yield made
