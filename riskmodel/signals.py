"""Evidence by rule: which words of which turn carry a signal, and with which status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .assessment import Evidence
from .conversation import Conversation, Speaker
from .lexicon import Lexicon, Rule, default_lexicon
from .matching import Match, Matcher, matcher_for
from .normalize import NormalizedTexts, normalize_many
from .status import read_status
from .taxonomy import Signal, Status

__all__ = ["RuleHit", "find_evidence", "find_hits", "read_hits"]


class RuleHit(NamedTuple):
    """A rule's hit in a turn; the span counts within the normalised text."""

    signal: Signal
    status: Status
    rule: Rule
    start: int
    end: int


def find_evidence(conversation: Conversation, lexicon: Lexicon | None = None) -> tuple[Evidence, ...]:
    """Return what the rules alone find, in the order of the conversation.

    Parameters
    ----------
    conversation : Conversation
    lexicon : Lexicon, optional
        The package's own by default.
    """
    matcher = matcher_for(lexicon or default_lexicon())
    column = normalize_many([t.text for t in conversation.turns])
    matches = matcher.match(column)
    out: list[Evidence] = []
    for i, turn in enumerate(conversation.turns):
        if i not in matches:
            continue
        for hit in find_hits(matcher, matches[i], column.text(i), turn.speaker, _asked_before(conversation.turns, column, i)):
            offset = int(column.bounds[i])
            start, end = column.span(offset + hit.start, offset + hit.end)
            out.append(
                Evidence(
                    i, start, end, turn.text[start:end], hit.signal, hit.status, f"rule:{hit.rule.name}", hit.rule.confidence
                )
            )
    return tuple(out)


def _asked_before(turns: Sequence[object], column: NormalizedTexts, i: int) -> str:
    """Return the normalised turn before turn `i` when the other side says it."""
    if i == 0 or turns[i - 1].speaker == turns[i].speaker:  # type: ignore[attr-defined]
        return ""
    return column.text(i - 1)


def find_hits(
    matcher: Matcher, matches: Sequence[Match], text: str, speaker: Speaker, before: str
) -> list[RuleHit]:
    """Return the hits of one turn: matches that `speaker` can make, each with its status.

    Parameters
    ----------
    text : str
        The normalised turn.
    before : str
        The normalised turn before it, when the other side says it; else "".
    """
    hits: list[RuleHit] = []
    rules = matcher.lexicon.rules
    for match in matches:
        rule = rules[match.rule]
        if not rule.hears(speaker):
            continue
        if rule.reply_to and not any(word in before for word in rule.reply_to):
            continue
        status = rule.status or read_status(text, match.start, match.end, rule.signal)
        hits.append(RuleHit(rule.signal, status, rule, match.start, match.end))
    return hits


def read_hits(hits: Sequence[RuleHit]) -> dict[Signal, RuleHit]:
    """Return the hit that stands for each signal of a turn.

    A turn that denies, asks or reports a signal in one place and asserts it in another asserts it,
    unless the denial comes last: 我要投诉你，算了不投诉了.
    """
    best: dict[Signal, RuleHit] = {}
    for hit in hits:
        kept = best.get(hit.signal)
        if kept is None or hit.status is Status.DENIED or (
            hit.status.counts and (not kept.status.counts or hit.rule.confidence > kept.rule.confidence)
            and kept.status is not Status.DENIED
        ) or (hit.status.counts and kept.status is Status.DENIED and hit.start > kept.end):
            best[hit.signal] = hit
    return best
