"""Lines of a transcript → turns: who speaks, when, and which lines go on with the message before.

Understood at the start of a line: ``客服：…``, ``【客服】：…``, ``[2026-05-05 10:03:22] 客服：…``,
``客服(10:03)：…``, ``0(agent):[00:00:01] …``; and headings whose message follows on the next lines:
``某某旗舰店:小美 2026-05-05 10:03:40`` (千牛), ``2026-05-05 10:03:40 小美``. A name in the middle of a
line starts nothing, so a customer may quote ``客服：`` freely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..conversation import Speaker, Turn
from .assemble import Entry
from .rejects import UNKNOWN_SPEAKER, Ledger
from .times import Clock, parse_time
from .wording import Names, key

__all__ = ["Heading", "Transcript", "heading", "unfolded"]

_DATE = r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?"
_HOURS = r"\d{1,2}[:：]\d{2}(?:[:：]\d{2}(?:[.,]\d{1,6})?)?"
_TIME = rf"(?:{_DATE}[ T]{{0,3}}{_HOURS}|{_HOURS})"
_WORD = r"[^\s:：()（）\[\]【】<>「」，。！？；,;!?]"
_NAME = rf"{_WORD}{{1,24}}(?:[(（]{_WORD}{{1,16}}[)）])?"
_SPEAKER_FIRST = re.compile(
    rf"\s*(?P<open>[\[【<]?)(?P<name>{_NAME})(?P<close>[\]】>]?)\s{{0,3}}"
    rf"(?:[(（\[【](?P<time>{_TIME})[)）\]】]\s{{0,3}}[:：]?|(?P<time2>{_TIME})\s{{0,3}}[:：]|[:：]\s{{0,3}}[\[(（](?P<time3>{_TIME})[\])）]|(?P<colon>[:：]))"
    r"\s?(?P<text>.*)",
    re.DOTALL,
)
_BARE_BRACKET = re.compile(rf"\s*[\[【](?P<name>{_NAME})[\]】]\s?(?P<text>.*)", re.DOTALL)
_TIME_FIRST = re.compile(
    rf"\s*(?P<open>[\[【(（<]?)(?P<time>{_TIME})[\]】)）>]?\s{{0,3}}[-–|,，]?\s{{0,3}}(?P<rest>.*)", re.DOTALL
)
_BLOCK = re.compile(
    rf"\s*(?P<name>\S[^\n]{{0,48}}?)\s{{0,3}}[(（\[]?\s?(?P<time>{_DATE}[ T]{{1,3}}{_HOURS})\s?[)）\]]?\s?[:：]?\s*"
)
_NAMED = re.compile(rf"(?P<name>{_NAME})\s{{0,2}}[:：]\s?(?P<text>.*)", re.DOTALL)
_BLOCK_NAME = re.compile(r"[^\s：，。！？；,;!?][^：，。！？；,;!?\n]{0,40}")
_INLINE = re.compile(r"\s*(?:<br\s*/?>|\\n|\|{1,2}|\t| {2,}|[；;])\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heading:
    """The start of a turn: its speaker's name, its time as written, and what follows on the line."""

    name: str
    time: str | None
    text: str
    speaker: Speaker | None
    block: bool = False


def heading(line: str, names: Names) -> Heading | None:
    """Return the heading of a turn that a line begins with, or None."""
    stamped = _TIME_FIRST.match(line) if line[:12].strip()[:7].strip("[【(（<")[:1].isdigit() else None
    if stamped is not None:
        found = _after_time(stamped, names)
        if found is not None:
            return found
    match = _BLOCK.fullmatch(line)
    if match is not None and _is_block_name(match["name"], names):
        return Heading(match["name"], match["time"], "", names.speaker(match["name"]), True)
    match = _SPEAKER_FIRST.match(line)
    if match is not None and (speaker := _known(match["name"], names)) is not None:
        time = match["time"] or match["time2"] or match["time3"]
        return Heading(
            match["name"], time, match["text"], speaker, time is not None and not match["text"].strip()
        )
    match = _BARE_BRACKET.match(line)
    if match is not None and (speaker := _known(match["name"], names)) is not None:
        return Heading(match["name"], None, match["text"], speaker)
    return None


def _after_time(stamped: re.Match[str], names: Names) -> Heading | None:
    rest, time = stamped["rest"], stamped["time"]
    certain = bool(stamped["open"]) or parse_time(time) is not None
    match = _SPEAKER_FIRST.match(rest)
    if match is not None and match["colon"] and (speaker := _known(match["name"], names)) is not None:
        return Heading(match["name"], time, match["text"], speaker)
    match = _BARE_BRACKET.match(rest)
    if match is not None and (speaker := _known(match["name"], names)) is not None:
        return Heading(match["name"], time, match["text"], speaker)
    if not certain:
        return None
    match = _NAMED.match(rest)
    if match is not None:
        return Heading(match["name"], time, match["text"], None)
    if parse_time(time) is not None and _BLOCK_NAME.fullmatch(rest.strip()):
        return Heading(rest.strip(), time, "", names.speaker(rest.strip()), True)
    return Heading("", time, rest, None) if stamped["open"] and rest.strip() else None


def _is_block_name(name: str, names: Names) -> bool:
    """A nickname, or a shop with its clerk (某某旗舰店:小美); not ``客服: 明天 2026-05-06 10:00``."""
    shop, colon, _ = name.partition(":")
    return _BLOCK_NAME.fullmatch(name) is not None and (
        not colon or key(shop).endswith(names.wording.shop_endings)
    )


def _known(name: str, names: Names) -> Speaker | None:
    speaker = names.speaker(name)
    return None if speaker is Speaker.UNKNOWN or (len(name) == 1 and name.isascii()) else speaker


def unfolded(text: str, names: Names) -> list[str]:
    """Return the lines of a cell; one written in a single line is parted before speakers' names."""
    lines = text.splitlines()
    if len(lines) > 1 or not lines or heading(text, names) is None:
        return lines
    parts = _INLINE.split(text)
    seams = _INLINE.findall(text)
    out = [parts[0]]
    for seam, part in zip(seams, parts[1:], strict=True):
        if heading(part, names) is not None:
            out.append(part)
        else:
            out[-1] += seam + part
    return out


@dataclass(slots=True)
class _Open:
    """A turn that may still go on."""

    line: int
    heading: Heading | None
    text: list[str] = field(default_factory=list)


class Transcript:
    """Collects the lines of one conversation.

    Attributes
    ----------
    recognised : int
        How many turns had a heading.
    """

    def __init__(self, names: Names, opened_at: str | None = None) -> None:
        self._names = names
        self._turns: list[_Open] = []
        self._opened_at = opened_at
        self.recognised = 0

    def __bool__(self) -> bool:
        return bool(self._turns)

    def feed(self, line_number: int, line: str) -> None:
        """Take the next line, without its line end."""
        found = heading(line, self._names)
        if found is not None:
            self.recognised += 1
            self._turns.append(_Open(line_number, found, [found.text]))
        elif self._turns:
            self._turns[-1].text.append(line)
        elif line.strip():
            self._turns.append(_Open(line_number, None, [line]))

    def feed_all(self, lines: Iterable[str], first: int) -> None:
        """Take lines that all stand in one place."""
        for line in lines:
            self.feed(first, line)

    def entries(self, ledger: Ledger, ident: str) -> list[Entry]:
        """Return the turns, times in full and speakers told apart as far as the names say."""
        clock = Clock(self._opened_at)
        counterpart = self._counterpart()
        out = []
        for turn in self._turns:
            head = turn.heading
            text = (
                "\n".join(turn.text).strip("\n")
                if head is None or not head.block
                else "\n".join(turn.text).strip()
            )
            speaker = head.speaker if head is not None else None
            if speaker is None and head is not None:
                speaker = counterpart.get(head.name)
            if speaker is None:
                speaker = Speaker.UNKNOWN
                ledger.note(
                    turn.line,
                    "speaker",
                    UNKNOWN_SPEAKER,
                    ident,
                )
            time = clock.read(head.time) if head is not None and head.time else None
            if head is not None and head.time and time is None and not Clock.is_clock(head.time):
                ledger.note(turn.line, "time", "the time cannot be read: the turn is kept without it", ident)
            out.append(Entry(Turn(text, speaker, time), turn.line))
        return out

    def _counterpart(self) -> dict[str, Speaker]:
        """In a copied chat between a shop and one other, the other is the customer."""
        known: dict[str, Speaker | None] = {
            t.heading.name: t.heading.speaker
            for t in self._turns
            if t.heading is not None and t.heading.block
        }
        people = {name: who for name, who in known.items() if who is not Speaker.SYSTEM}
        others = [name for name, who in people.items() if who is None]
        roles = {who for who in people.values() if who is not None}
        if len(others) == 1 and len(roles) == 1:
            return {others[0]: Speaker.CUSTOMER if roles == {Speaker.AGENT} else Speaker.AGENT}
        return {}
