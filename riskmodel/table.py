"""Conversations as columns of turns: what every later step reads.

Work that depends on a text alone is done once for each distinct text of a batch: agents' canned
scripts repeat, and a transcript holds them thousands of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .assessment import NotAnalysed
from .conversation import Conversation, Speaker
from .judgeable import why_not
from .matching import AGENT_SAYS, CUSTOMER_SAYS, UNKNOWN_SAYS, Match, Matcher
from .normalize import Kind, NormalizedTexts, normalize_many
from .signals import RuleHit, find_hits
from .trie import WordFinder

__all__ = ["SIDES", "TurnTable", "build_table"]

Array = np.ndarray[Any, Any]

#: What `TurnTable.side` holds.
SIDES = {Speaker.CUSTOMER: 0, Speaker.AGENT: 1, Speaker.SYSTEM: 2, Speaker.UNKNOWN: 3}
CUSTOMER, AGENT = 0, 1
_SAYS = np.array([CUSTOMER_SAYS, AGENT_SAYS, 0, UNKNOWN_SAYS], dtype=np.uint8)
_HINTS = ("撤回", "图片", "语音", "视频", "文件", "照片", "删除", "截图")
_BRACKETS = frozenset("[【<(（!#")


@dataclass(frozen=True, eq=False)
class TurnTable:
    """A batch of conversations, turn by turn.

    Attributes
    ----------
    bounds : ndarray of int64, shape (n_conversations + 1,)
        Turns of conversation ``c`` are ``bounds[c]:bounds[c + 1]``.
    side : ndarray of int8, shape (n_turns,)
        0 customer, 1 agent, 2 system, 3 unknown.
    text_of : ndarray of int32, shape (n_turns,)
        Which text of `column` the turn holds.
    column : NormalizedTexts
        The distinct texts.
    hits : dict
        Turn → its rule hits, for the turns that have any.
    not_analysed : tuple of tuple of NotAnalysed
        One entry a conversation.
    """

    conversations: Sequence[Conversation]
    bounds: Array
    side: Array
    text_of: Array
    column: NormalizedTexts
    hits: dict[int, tuple[RuleHit, ...]]
    not_analysed: tuple[tuple[NotAnalysed, ...], ...]

    @property
    def n_turns(self) -> int:
        return len(self.side)

    @property
    def lengths(self) -> Array:
        """Characters of each turn, normalised."""
        return (self.column.bounds[1:] - self.column.bounds[:-1] - 1)[self.text_of]

    def text(self, turn: int) -> str:
        """Return the normalised text of a turn of the table."""
        return self.column.text(int(self.text_of[turn]))


def build_table(conversations: Sequence[Conversation], matcher: Matcher) -> TurnTable:
    """Read a batch: normalise the distinct texts, match the rules, find what cannot be judged."""
    ids: dict[str, int] = {}
    number = ids.setdefault
    text_of = np.array([number(t.text, len(ids)) for c in conversations for t in c.turns], dtype=np.int32)
    sides = SIDES
    side = np.array([sides[t.speaker] for c in conversations for t in c.turns], dtype=np.int8)
    bounds = np.zeros(len(conversations) + 1, dtype=np.int64)
    np.cumsum([len(c.turns) for c in conversations], out=bounds[1:])
    texts = list(ids)
    column = normalize_many(texts)
    says = np.zeros(len(texts), dtype=np.uint8)
    np.bitwise_or.at(says, text_of, _SAYS[side])
    matches = matcher.match(column, says)
    hits = _hits_of_turns(conversations, bounds, side, text_of, column, matches, matcher)
    unjudged = _unjudged(texts, column)
    return TurnTable(
        conversations, bounds, side, text_of, column, hits, _not_analysed(conversations, bounds, side, text_of, unjudged)
    )


def _hits_of_turns(
    conversations: Sequence[Conversation],
    bounds: Array,
    side: Array,
    text_of: Array,
    column: NormalizedTexts,
    matches: dict[int, tuple[Match, ...]],
    matcher: Matcher,
) -> dict[int, tuple[RuleHit, ...]]:
    if not matches:
        return {}
    has_match = np.zeros(len(column), dtype=bool)
    has_match[list(matches)] = True
    speakers = tuple(SIDES)
    starts = set(bounds.tolist())
    asks = [bool(rule.reply_to) for rule in matcher.lexicon.rules]
    known: dict[tuple[int, int], tuple[RuleHit, ...]] = {}
    hits: dict[int, tuple[RuleHit, ...]] = {}
    for turn in has_match[text_of].nonzero()[0].tolist():
        text, who = int(text_of[turn]), int(side[turn])
        own = matches[text]
        found = known.get((text, who))
        if found is None:
            replies = any(asks[m.rule] for m in own)
            before = ""
            if replies and turn not in starts and side[turn - 1] != who:
                before = column.text(int(text_of[turn - 1]))
            found = tuple(find_hits(matcher, own, column.text(text), speakers[who], before))
            if not replies:
                known[text, who] = found
        if found:
            hits[turn] = found
    return hits


def _unjudged(texts: list[str], column: NormalizedTexts) -> dict[int, str]:
    """Return why texts cannot be judged, for those of which that is worth asking."""
    if not texts:
        return {}
    kinds = column.kinds
    starts = column.bounds[:-1]
    han = np.add.reduceat(kinds == Kind.HAN, starts)
    foreign = np.add.reduceat((kinds == Kind.FOREIGN) | (column.codes == 0xFFFD), starts)
    doubtful = (han == 0) | (foreign > 1)
    doubtful[list(column.suspects)] = True
    hinted = set(column.owners[_hints().find(column.codes)[1]].tolist())
    out: dict[int, str] = {}
    asked = {
        *doubtful.nonzero()[0].tolist(),
        *(i for i, text in enumerate(texts) if text[:1] in _BRACKETS),
        *(i for i in hinted if len(texts[i]) <= 24 and any(hint in texts[i] for hint in _HINTS)),
    }
    for i in sorted(asked):
        reason = "mojibake_repaired" if i in column.repaired else why_not(texts[i])
        if reason:
            out[i] = reason
    return out


@lru_cache(maxsize=1)
def _hints() -> WordFinder:
    return WordFinder(_HINTS)


def _not_analysed(
    conversations: Sequence[Conversation], bounds: Array, side: Array, text_of: Array, unjudged: dict[int, str]
) -> tuple[tuple[NotAnalysed, ...], ...]:
    flag = side == SIDES[Speaker.UNKNOWN]
    if unjudged:
        bad = np.zeros(int(text_of.max()) + 1, dtype=bool)
        bad[list(unjudged)] = True
        flag |= bad[text_of] & (side != SIDES[Speaker.SYSTEM])
    out: list[tuple[NotAnalysed, ...]] = [()] * len(conversations)
    per: dict[int, list[NotAnalysed]] = {}
    flagged = flag.nonzero()[0]
    for turn, c in zip(flagged.tolist(), (np.searchsorted(bounds, flagged, side="right") - 1).tolist(), strict=True):
        reason = unjudged.get(int(text_of[turn]), "unknown_speaker")
        per.setdefault(c, []).append(NotAnalysed(turn - int(bounds[c]), reason))
    for c, items in per.items():
        out[c] = tuple(items)
    return tuple(out)
