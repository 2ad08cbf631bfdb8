"""Plain text: transcripts with speakers' prefixes, ``[时间]``, ASR lines, 千牛 clipboard blocks.

Conversations are parted by ``会话ID：c1`` or ``=== 会话 c1 ===``, by lines of ``----`` or ``====``, or,
where the file has neither and its turns stand line under line, by blank lines. A file with nothing of
the kind is one conversation. Without such a heading the id is the file's name and a number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation
from .assemble import assemble
from .rejects import Ledger
from .source import MAX_CELL, TOO_LONG, Source
from .times import parse_time
from .transcript import Transcript, heading
from .wording import Names, key

__all__ = ["looks_like_transcript", "read"]

_RULE = re.compile(r"\s*([-=#_—─])\1{2,}\s*")
_TITLE = re.compile(
    r"(?P<left>[\s#=\-—─【\[<*]*)(?P<word>[^\s:：#]{2,20})\s*(?P<sign>[:：#]|\s)\s*(?P<id>[^\s=【】\[\]<>*]{1,80}?)[\s=\-—─#】\]>*]*"
)
_ABOUT = re.compile(r"\s*(?P<word>[^\s:：]{1,20})\s*[:：]\s*(?P<value>.{1,80}?)\s*")
_LOOK = 60


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a text file."""
    by_blank = _blank_lines_part(source.text_head, names)
    part = _Part(names)
    number = count = 0
    after_break = True
    for number, raw in enumerate(source.lines(), 1):
        try:
            line = raw.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            reason = (
                "the line is over 64 MB" if raw is TOO_LONG else "bytes that are not in the file's encoding"
            )
            ledger.reject(number, "text", reason, part.ident or None)
            continue
        if len(line) > MAX_CELL:
            ledger.reject(number, "text", f"the line has more than {MAX_CELL} characters", part.ident or None)
            continue
        title = _title(line, names, after_break)
        rule = _RULE.fullmatch(line) is not None
        if title is not None or rule or (by_blank and after_break and heading(line, names) is not None):
            if part.transcript:
                count += 1
                yield from part.close(source, ledger, count)
                part = _Part(names)
            if title is not None:
                part.ident = title
            after_break = True
            if title is not None or rule:
                continue
        after_break = not line.strip()
        if not part.about(line):
            part.transcript.feed(number, line)
    if part.transcript:
        yield from part.close(source, ledger, count + 1)


class _Part:
    """One conversation on its way."""

    def __init__(self, names: Names) -> None:
        self.ident = ""
        self._names = names
        self._about: dict[str, Any] = {}
        self.transcript = Transcript(names)
        self._clock_date: str | None = None

    def about(self, line: str) -> bool:
        """Take ``渠道：APP`` and the like between a conversation's title and its first turn."""
        if self.transcript or not self.ident:
            return False
        match = _ABOUT.fullmatch(line)
        if match is None or heading(line, self._names) is not None:
            return False
        field = next(iter(self._names.columns([match["word"]])), "")
        if field not in ("customer_id", "agent_id", "channel", "opened_at", "time", "date"):
            return False
        value = match["value"]
        if field in ("opened_at", "time", "date"):
            field, value = "opened_at", parse_time(value) or ""
            self.transcript = Transcript(self._names, value or None)
        self._about[field] = value
        return True

    def close(self, source: Source, ledger: Ledger, count: int) -> Iterator[Conversation]:
        ident = self.ident or f"{source.stem}-{count}"
        entries = self.transcript.entries(ledger, ident)
        if not self.transcript.recognised:
            ledger.note(
                entries[0].line,
                "speaker",
                "no line begins with a speaker's name: the text is one turn of an unknown speaker; "
                "write 客服： and 用户： before what they say",
                ident,
            )
        conversation = assemble(ident, entries, ledger, **self._about)
        if conversation is not None:
            yield conversation


def _title(line: str, names: Names, after_break: bool) -> str | None:
    if len(line) > 140:
        return None
    match = _TITLE.fullmatch(line)
    if match is None or key(match["word"]) not in names.wording.headers:
        return None
    decorated = match["left"].strip() != ""
    if match["sign"] in ":：#":
        return match["id"] if decorated or after_break else None
    return match["id"] if decorated else None


def _blank_lines_part(head: str, names: Names) -> bool:
    """Whether blank lines part conversations: turns stand line under line, and no titles or rules do it."""
    lines = head.splitlines()[:2000]
    if any(_RULE.fullmatch(line) or _title(line, names, True) for line in lines):
        return False
    heads = [heading(line, names) for line in lines]
    if any(h is not None and h.block for h in heads):
        return False
    adjacent = any(a is not None and b is not None for a, b in itertools.pairwise(heads))
    parted = [i for i, line in enumerate(lines[:-1]) if not line.strip() and heads[i + 1] is not None]
    return adjacent and bool(parted)


def looks_like_transcript(head: str, names: Names) -> bool:
    """Whether the beginning of a file holds turns."""
    lines = [line for line in head.splitlines()[:_LOOK] if line.strip()]
    turns = sum(heading(line, names) is not None for line in lines)
    return turns >= 2 or (turns == 1 and len(lines) <= 4)
