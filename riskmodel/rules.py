"""Tools for rule authors: run every rule's examples, measure every rule on labelled cases."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .cases import Case
from .conversation import Speaker
from .errors import LexiconError
from .lexicon import Lexicon
from .matching import matcher_for
from .normalize import normalize_many
from .signals import find_hits, read_hits
from .taxonomy import Signal, Status

__all__ = ["Failure", "RuleReport", "SignalReport", "check_rules", "report_rules"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An example of a rule that does not do what it must."""

    rule: str
    key: str
    text: str
    found: str

    def __str__(self) -> str:
        return f"rule {self.rule}, key {self.key}: {self.text!r} {self.found}"


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What one rule does on labelled turns.

    `hits` counts turns it marks with a counting status, `right` those that carry the signal with a
    counting status, `alone` the right ones that no other rule of the signal finds, `mentions`
    turns it marks with another status.
    """

    rule: str
    hits: int
    right: int
    alone: int
    mentions: int

    @property
    def precision(self) -> float:
        return self.right / self.hits if self.hits else float("nan")


@dataclass(frozen=True, slots=True)
class SignalReport:
    """What all rules of one signal do together, over labelled turns."""

    signal: Signal
    positives: int
    hits: int
    right: int
    missed: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def precision(self) -> float:
        return self.right / self.hits if self.hits else float("nan")

    @property
    def recall(self) -> float:
        return self.right / self.positives if self.positives else float("nan")


def check_rules(lexicon: Lexicon) -> list[Failure]:
    """Run every example of every rule.

    A ``match`` text must be found by its rule with a counting status (``text => asked`` with that
    one), a ``no_match`` text must not be found by it with a counting status. ``a| … || c| …`` gives
    the turn before.
    """
    matcher = matcher_for(lexicon)
    failures: list[Failure] = []
    for rule in lexicon.rules:
        for pattern in rule.patterns:
            try:
                _ = pattern.expression
            except re.error as error:
                raise LexiconError(f"not a regular expression: {error}", where=f"rule {rule.name}, key pattern") from None
        for key, examples in (("match", rule.match), ("no_match", rule.no_match)):
            for example in examples:
                text, _, wanted = example.partition(" => ")
                if wanted and wanted not in tuple(Status):
                    raise LexiconError(f"unknown status {wanted!r}", where=f"rule {rule.name}, key {key}")
                speaker = rule.speaker or Speaker.UNKNOWN
                before = ""
                if " || " in text:
                    before, text = (part[3:] if part[1:3] == "| " else part for part in text.split(" || ", 1))
                column = normalize_many([text, before])
                matches = matcher.match(column).get(0, ())
                hits = find_hits(matcher, matches, column.text(0), speaker, column.text(1))
                own = [h for h in hits if h.rule is rule]
                statuses = {h.status for h in own}
                if key == "match":
                    good = Status(wanted) in statuses if wanted else any(s.counts for s in statuses)
                else:
                    good = not any(s.counts for s in statuses)
                if not good:
                    found = ", ".join(sorted(statuses)) or "nothing"
                    failures.append(Failure(rule.name, key, text, f"gives {found}"))
    return failures


def report_rules(lexicon: Lexicon, cases: Sequence[Case]) -> tuple[list[RuleReport], list[SignalReport]]:
    """Measure rules and signals over the labelled turns of `cases`."""
    matcher = matcher_for(lexicon)
    hits_of: dict[str, list[bool]] = defaultdict(list)
    alone: dict[str, int] = defaultdict(int)
    mentions: dict[str, int] = defaultdict(int)
    positives: dict[Signal, int] = defaultdict(int)
    right: dict[Signal, int] = defaultdict(int)
    hit: dict[Signal, int] = defaultdict(int)
    missed: dict[Signal, list[str]] = defaultdict(list)
    wrong: dict[Signal, list[str]] = defaultdict(list)
    for case in cases:
        turns = case.conversation.turns
        column = normalize_many([t.text for t in turns])
        matches = matcher.match(column)
        for i, labels in enumerate(case.labels):
            if labels is None:
                continue
            gold = {s for s, status in labels if status.counts}
            before = column.text(i - 1) if i and turns[i - 1].speaker != turns[i].speaker else ""
            found = find_hits(matcher, matches.get(i, ()), column.text(i), turns[i].speaker, before)
            counting = {s for s, h in read_hits(found).items() if h.status.counts}
            by_rule = {h.rule.name: h for h in found if h.status.counts}
            for h in found:
                if not h.status.counts:
                    mentions[h.rule.name] += 1
            for name, h in by_rule.items():
                hits_of[name].append(h.signal in gold)
                if h.signal in gold and sum(o.signal is h.signal for o in by_rule.values()) == 1:
                    alone[name] += 1
            for signal in gold | counting:
                positives[signal] += signal in gold
                hit[signal] += signal in counting
                right[signal] += signal in gold and signal in counting
                place = f"{case.id}#{i}"
                if signal in gold - counting:
                    missed[signal].append(place)
                elif signal in counting - gold:
                    wrong[signal].append(place)
    rules = [
        RuleReport(r.name, len(hits_of[r.name]), sum(hits_of[r.name]), alone[r.name], mentions[r.name])
        for r in lexicon.rules
    ]
    signals = [
        SignalReport(s, positives[s], hit[s], right[s], tuple(missed[s]), tuple(wrong[s])) for s in Signal
    ]
    return rules, signals
