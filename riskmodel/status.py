"""What a turn does with a signal: threaten, have done, deny, ask, report.

The words that tell are data (``resources/status.toml``); here is how far they reach.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from .lexicon import normal_marks
from .taxonomy import DEMANDS, Signal, Status

__all__ = ["read_status"]

_CLAUSE_END = re.compile("[，,。！!？?；;：:…\n]")
_SENTENCE_END = re.compile("[。！!？?；;…\n]")
_REACH = 60  # characters: no cue acts from farther away, however long the sentence
_QUESTION = re.compile("[？?]|[吗嘛么呢](?:$|[，,。！!？?\\s])|(?:什么|啥|多少|几点|怎么|咋|哪里|哪儿|如何|多久|能不能|可不可以|是不是|有没有|管不管|会不会|行不行)")

#: Facts are not denied by a person who complains about them; these signals keep `done` unless asked.
_PLAIN_FACTS = frozenset({Signal.CUSTOMER_INSULT})


@dataclass(frozen=True, slots=True)
class _Cues:
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    clause: re.Pattern[str] | None
    sentence: re.Pattern[str] | None
    needs_question: bool

    def apply(self, text: str, start: int, end: int, clause: tuple[int, int], sentence: tuple[int, int]) -> bool:
        if self.needs_question and not _QUESTION.search(text, sentence[0], min(len(text), sentence[1] + 1)):
            return False
        if self.before and self.before.search(text[max(sentence[0], start - 24) : start]):
            return True
        if self.after and self.after.match(text, end, sentence[1] + 1):
            return True
        if self.clause and self.clause.search(text, *clause):
            return True
        return bool(self.sentence and self.sentence.search(text, *sentence))


def read_status(text: str, start: int, end: int, signal: Signal) -> Status:
    """Return the status of the words ``text[start:end]`` of a normalised turn.

    Parameters
    ----------
    text : str
        The whole normalised turn.
    start, end : int
        Span of the words that carry the signal.
    signal : Signal
        Demands and steps are `threatened` unless told otherwise, facts are `done`.
    """
    plain = Status.THREATENED if signal in DEMANDS else Status.DONE
    if signal in _PLAIN_FACTS:
        return plain
    clause = _bounds(_CLAUSE_END, text, start, end)
    sentence = _bounds(_SENTENCE_END, text, start, end)
    for name, cues in _cues():
        if name == "done" and plain is Status.DONE:
            continue
        if cues.apply(text, start, end, clause, sentence):
            return plain if name == "threat" else Status(name)
    return plain


def _bounds(ends: re.Pattern[str], text: str, start: int, end: int) -> tuple[int, int]:
    low = max(0, start - _REACH)
    left = low
    for match in ends.finditer(text, low, start):
        left = match.end()
    right = ends.search(text, end, min(len(text), end + _REACH))
    return left, right.start() if right else min(len(text), end + _REACH)


@lru_cache(maxsize=1)
def _cues() -> tuple[tuple[str, _Cues], ...]:
    data = tomllib.loads((files("riskmodel") / "resources/status.toml").read_text("utf-8"))

    def pattern(section: dict[str, list[str]], key: str, tail: str = "") -> re.Pattern[str] | None:
        return re.compile("(?:" + normal_marks("|".join(section[key])) + ")" + tail) if key in section else None

    return tuple(
        (
            name,
            _Cues(
                pattern(section, "before", "$"),
                pattern(section, "after"),
                pattern(section, "clause"),
                pattern(section, "sentence"),
                bool(section.get("needs_question", False)),
            ),
        )
        for name, section in data.items()
    )
