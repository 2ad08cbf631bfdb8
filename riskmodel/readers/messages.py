"""The rows of one conversation in a table → `Conversation`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .grouping import Row
from .rejects import UNKNOWN_SPEAKER, Ledger
from .source import MAX_CELL
from .times import Clock, parse_time
from .transcript import Transcript, heading, unfolded
from .wording import Names

__all__ = ["Builder", "Layout", "ident_of"]

_NO_SPEAKERS = (
    "nothing says who speaks: the text is one turn of an unknown speaker; name a column (--map 列名=speaker), "
    "or begin lines with 客服： and 用户："
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what.

    Attributes
    ----------
    row : int
        How many rows stand before the data, the header included.
    fields : dict
        Field → index of its column.
    header : tuple of str
    """

    row: int
    fields: dict[str, int]
    header: tuple[str, ...]

    def cell(self, cells: list[Any], field: str) -> Any:
        """Return a row's value of a field, None where there is none."""
        i = self.fields.get(field)
        return None if i is None or i >= len(cells) else cells[i]


class Builder:
    """Makes a conversation of its rows, each as long as the header."""

    def __init__(self, layout: Layout, names: Names, ledger: Ledger) -> None:
        self._layout, self._names, self._ledger = layout, names, ledger
        get = layout.fields.get
        self._text, self._speaker, self._time = layout.fields["text"], get("speaker", -1), get("time", -1)
        self._date, self._message_id = get("date", -1), get("message_id", -1)
        self._recalled, self._kind = get("recalled", -1), get("message_type", -1)
        if self._time < 0:
            self._time, self._date = self._date, -1
        used = set(layout.fields.values())
        self._extra = [(i, name) for i, name in enumerate(layout.header) if i not in used and name]

    def __call__(self, ident: str, rows: list[Row]) -> Conversation | None:
        """Return the conversation, or None when each of its rows is rejected."""
        first = rows[0][1]
        opened = parse_time(self._layout.cell(first, "opened_at"))
        messages = self._speaker >= 0
        if not messages and opened is None and self._time >= 0:
            opened = parse_time(first[self._time])
        entries = self._messages(ident, rows, opened) if messages else self._transcripts(ident, rows, opened)
        if not entries:
            return None
        return assemble(
            ident,
            entries,
            self._ledger,
            customer_id=ident_of(self._layout.cell(first, "customer_id")),
            agent_id=ident_of(self._layout.cell(first, "agent_id")),
            channel=_plain(self._layout.cell(first, "channel")),
            opened_at=opened,
            meta={
                name: c if isinstance(c, (str, int, float)) else _plain(c)
                for i, name in self._extra
                if (c := first[i]) not in (None, "")
            },
            ordered=not messages,
        )

    def _messages(self, ident: str, rows: list[Row], opened: str | None) -> list[Entry]:
        i_text, i_speaker, i_time, i_date = self._text, self._speaker, self._time, self._date
        i_id, i_recalled, i_kind = self._message_id, self._recalled, self._kind
        names, clock = self._names, Clock(opened)
        entries: list[Entry] = []
        for line, cells in rows:
            text = cells[i_text]
            if type(text) is not str:
                text = _plain(text)
            if len(text) > MAX_CELL:
                self._ledger.reject(line, "text", f"the cell has more than {MAX_CELL} characters", ident)
                continue
            if not text and i_kind >= 0:
                text = names.placeholder(cells[i_kind])
            name = cells[i_speaker]
            speaker = names.speaker(name) if type(name) is str else None
            if speaker is None:
                speaker = self._who(cells, line, ident)
            time = None
            if i_time >= 0 and cells[i_time]:
                if i_date >= 0:
                    clock.day(cells[i_date])
                time = clock.read(cells[i_time])
                if time is None:
                    why = "has no date" if Clock.is_clock(cells[i_time]) else "cannot be read"
                    reason = f"the time {why}: the turn is kept without it; write 2026-05-05 10:03:00"
                    self._ledger.note(line, "time", reason, ident)
            turn = Turn(text, speaker, time, i_recalled >= 0 and names.is_recalled(cells[i_recalled]))
            entries.append(Entry(turn, line, ident_of(cells[i_id]) if i_id >= 0 else ""))
        return entries

    def _who(self, cells: list[Any], line: int, ident: str) -> Speaker:
        """Tell a speaker by the role's name, or by the name that the row gives its agent or customer."""
        name = _plain(cells[self._speaker])
        speaker = self._names.speaker(name)
        if speaker is None and name:
            if name == _plain(self._layout.cell(cells, "agent_id")):
                return Speaker.AGENT
            if name == _plain(self._layout.cell(cells, "customer_id")):
                return Speaker.CUSTOMER
        if speaker is None:
            speaker = Speaker.UNKNOWN
            self._ledger.note(line, "speaker", UNKNOWN_SPEAKER, ident)
        return speaker

    def _transcripts(self, ident: str, rows: list[Row], opened: str | None) -> list[Entry]:
        entries: list[Entry] = []
        for line, cells in rows:
            text = _plain(cells[self._text])
            if len(text) > MAX_CELL:
                self._ledger.reject(line, "text", f"the cell has more than {MAX_CELL} characters", ident)
                continue
            lines = unfolded(text, self._names)
            if any(heading(part, self._names) is not None for part in lines):
                transcript = Transcript(self._names, opened)
                transcript.feed_all(lines, line)
                entries.extend(transcript.entries(self._ledger, ident))
            else:
                self._ledger.note(line, "speaker", _NO_SPEAKERS, ident)
                time = parse_time(cells[self._time]) if self._time >= 0 else None
                entries.append(Entry(Turn(text, Speaker.UNKNOWN, time), line))
        return entries


def _plain(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, float) and cell != cell:  # pandas' missing value
        return ""
    if isinstance(cell, (dt.datetime, dt.date)):
        return parse_time(cell) or str(cell)
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return str(cell)


def ident_of(cell: Any) -> str:
    """Return an id without Excel's guards against turning it into a number: ``="0012"``, ``'0012``, a tab."""
    text = _plain(cell).strip()
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text[1:] if text.startswith("'") and text[1:].isdigit() else text
