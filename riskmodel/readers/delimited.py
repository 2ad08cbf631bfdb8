"""CSV and TSV: any usual separator, cells with line breaks, and quotes that somebody forgot to close."""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterator

from ..conversation import Conversation
from .grouping import Row
from .rejects import Ledger
from .source import MAX_CELL, TOO_LONG, Source
from .table import read_table
from .wording import Names

__all__ = ["find_delimiter", "raw_rows", "read", "recognised_columns"]

_DELIMITERS = (",", "\t", ";", "|", "\x01")
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_LOOK = 10
_TOO_LONG = TOO_LONG.decode("utf-8", "replace")
_TANGLED = (
    f"the row cannot be told from its neighbours, or has a cell of more than {MAX_CELL} characters; "
    "close its quotes, and double the quotes within a cell"
)


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a table of text.

    A stream is copied to a private temporary file first: it must be gone through twice.
    """
    source.keep()
    delimiter = find_delimiter(source.text_head, names)
    if csv.field_size_limit() < MAX_CELL:
        csv.field_size_limit(MAX_CELL)  # of the whole process; only ever raised

    def rows(listener: Ledger | None) -> Iterator[Row]:
        return raw_rows(source, delimiter, listener)

    def keys(i: int) -> Iterator[str]:
        return (cells[i] for _, cells in rows(None) if len(cells) > i)

    yield from read_table(rows, names, ledger, source.stem, keys=keys, delimiter=delimiter)


def find_delimiter(head: str, names: Names) -> str:
    """Return the separator that makes the best header of one of the first lines."""
    lines = [line for line in head.splitlines() if line.strip()][:_LOOK]
    if lines and (said := _SEP.fullmatch(lines[0])):
        return said[1]
    scores = {d: max((_score(line, d, names) for line in lines), default=(False, 0, 0)) for d in _DELIMITERS}
    return max(_DELIMITERS, key=lambda d: scores[d])


def recognised_columns(head: str, names: Names) -> int:
    """Return how many columns the best header names, 0 without one of text."""
    lines = [line for line in head.splitlines() if line.strip()][:_LOOK]
    best = max((_score(line, d, names) for d in _DELIMITERS for line in lines), default=(False, 0, 0))
    return best[1] if best[0] else 0


def _score(line: str, delimiter: str, names: Names) -> tuple[bool, int, int]:
    cells = [c.strip().strip('"') for c in line[:4000].split(delimiter)]
    fields = names.columns(cells)
    return "text" in fields, len(fields), len(cells)


def raw_rows(source: Source, delimiter: str, ledger: Ledger | None) -> Iterator[Row]:
    """Yield the rows of a table of text as (line, cells), the header included."""
    feed = _Feed(source)
    width, ends = 0, False
    while not ends:
        reader = csv.reader(feed.lines(), delimiter=delimiter, strict=True)
        base, line = feed.done, feed.done + 1
        problem = False
        try:
            for cells in reader:
                feed.done = base + reader.line_num
                if feed.bad and feed.is_bad(line):
                    if ledger is not None:
                        ledger.reject(line, "", feed.why(line))
                elif cells:
                    if width < 2:
                        if line == 1 and _SEP.fullmatch(delimiter.join(cells)):
                            line = feed.done + 1
                            continue
                        width = len(cells)
                    yield line, cells
                line = feed.done + 1
            ends = True
        except csv.Error:
            problem = True
        if problem:
            first = feed.first_line()
            feed.done += 1
            alone = _as_it_stands(first, delimiter, width)
            if line in feed.bad or alone is None:
                if ledger is not None:
                    ledger.reject(line, "", feed.why(line) if line in feed.bad else _TANGLED)
            else:
                if ledger is not None:
                    ledger.note(
                        line, "", "a double quote is not closed: the line is taken as it stands", once=False
                    )
                yield line, alone


def _as_it_stands(line: str, delimiter: str, width: int) -> list[str] | None:
    """Split a line with a stray quote at its separators, if that gives as many cells as the header."""
    cells = line.rstrip("\r\n").split(delimiter)
    return cells if len(cells) == width and len(line) <= MAX_CELL else None


class _Feed:
    """Lines for the csv reader, kept until their row is complete.

    Attributes
    ----------
    done : int
        How many lines belong to complete rows.
    bad : set of int
        Lines, from 1, that could not be decoded.
    """

    def __init__(self, source: Source) -> None:
        self._blocks = source.blocks()
        self._kept: deque[tuple[int, list[str]]] = deque()
        self._read = 0
        self.done = 0
        self.bad: set[int] = set()

    def lines(self) -> Iterator[str]:
        """Return the lines after `done`; block by block, so that the loop runs in C."""
        return itertools.chain.from_iterable(self._from_done())

    def _from_done(self) -> Iterator[list[str]]:
        for first, lines in list(self._kept):
            if first + len(lines) > self.done:
                yield lines[max(self.done - first, 0) :]
        for lines, bad in self._blocks:
            self.bad.update(self._read + i + 1 for i in bad)
            while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= self.done:
                self._kept.popleft()
            self._kept.append((self._read, lines))
            self._read += len(lines)
            yield lines

    def first_line(self) -> str:
        """Return the first line after `done`."""
        return next(
            lines[self.done - first] for first, lines in self._kept if first <= self.done < first + len(lines)
        )

    def is_bad(self, first: int) -> bool:
        """Whether a row that begins on line `first` and ends with `done` holds a line of `bad`."""
        return not self.bad.isdisjoint(range(first, self.done + 1))

    def why(self, line: int) -> str:
        """Say what is wrong with a bad line."""
        long = any(
            lines[line - 1 - first] == _TOO_LONG
            for first, lines in self._kept
            if first < line <= first + len(lines)
        )
        return "the line is over 64 MB" if long else "the row has bytes that are not in the file's encoding"
