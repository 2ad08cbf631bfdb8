"""What could not be read, and where: one record a row, never its text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["UNKNOWN_SPEAKER", "Ledger", "Reject"]

#: Why a turn is `unknown`.
UNKNOWN_SPEAKER = (
    "the speaker is not known: the turn is kept as unknown, and only rules for any speaker see it; "
    "say who it is: --map NAME=customer or NAME=agent"
)

_log = logging.getLogger("riskmodel.readers")


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not read, or a note about one that was.

    Attributes
    ----------
    file : str
        The file's name as it was given; ``standard input`` for ``-``.
    line : int or None
        Line of a text file, row of a sheet or of a Parquet file, counted from 1.
    field : str
        Which field was wrong, when it was one.
    reason : str
        What was wrong and how to mend it, without a word of the message's text.
    id : str or None
        The conversation's id, when it is known.
    kept : bool
        True for a note: nothing of the conversation is missing (a repeated message was dropped, a
        speaker stayed unknown, a time could not be read). Such notes come once a file and reason,
        at the first place; repeated messages are each named.
    """

    file: str
    line: int | None
    field: str
    reason: str
    id: str | None = None
    kept: bool = False


class Ledger:
    """Passes rejects on to the caller; without one, counts them and logs one line at the end."""

    def __init__(self, file: str, sink: Callable[[Reject], None] | None) -> None:
        self.file = file
        self._sink = sink
        self._noted: set[tuple[str, str]] = set()
        self._count = 0

    def reject(self, line: int | None, field: str, reason: str, ident: str | None = None) -> None:
        """Record a row whose content is not in the output."""
        self._count += 1
        if self._sink is not None:
            self._sink(Reject(self.file, line, field, reason, ident))

    def note(
        self, line: int | None, field: str, reason: str, ident: str | None = None, *, once: bool = True
    ) -> None:
        """Record a remark about a row that is kept."""
        if self._sink is None or (once and (field, reason) in self._noted):
            return
        if once:
            self._noted.add((field, reason))
        self._sink(Reject(self.file, line, field, reason, ident, kept=True))

    def close(self) -> None:
        """Say how many rows were lost when nobody listened."""
        if self._sink is None and self._count:
            _log.warning("%s: %d rows could not be read; pass rejects= to see which", self.file, self._count)
