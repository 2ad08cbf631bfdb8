"""`RiskModel`: conversations in, assessments out. One is a batch of one."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from .additive import AdditiveModel
from .assessment import Action, Assessment, Evidence, Finding, ModelRef
from .conversation import Conversation
from .explain import Explainer, character_weights, model_spans
from .heads import AGENT_HEADS, CUSTOMER_HEADS, TurnReader, TurnScores
from .lexicon import Lexicon
from .policy import Policy
from .pooling import pool
from .segment import Segmenter
from .table import AGENT, CUSTOMER, TurnTable
from .taxonomy import AGENT_SIGNALS, CUSTOMER_SIGNALS, DEMANDS, HARMS, Level, Signal, Status, Topic

if TYPE_CHECKING:
    import pandas as pd

    from .texthead import TextHead

__all__ = ["RiskModel"]

Array = np.ndarray[Any, Any]

#: A model's own hit becomes evidence from this probability on; a rule's hit always does.
_EVIDENT = 0.5
_CHUNK, _TURNS = 2_000, 100_000  # conversations and turns scored at once: enough to amortise, small enough for memory
_HEADS = {CUSTOMER: CUSTOMER_HEADS, AGENT: AGENT_HEADS}
_SIGNALS = {CUSTOMER: CUSTOMER_SIGNALS, AGENT: AGENT_SIGNALS}
_STATUS_COLUMNS = {s: CUSTOMER_HEADS.index(f"status:{s}") for s in (Status.DENIED, Status.ASKED, Status.REPORTED, Status.DONE)}
_COLUMN = {side: {s: heads.index(s.value) for s in _SIGNALS[side]} for side, heads in _HEADS.items()}
_LEVELS = tuple(Level)
_TOPICS = tuple(Topic)


@dataclass(frozen=True, eq=False)
class RiskModel:
    """Tagger, level model, policy and card: everything that judges.

    Load one with `riskmodel.load_model`. It is immutable and may be shared between threads.

    Attributes
    ----------
    ref : ModelRef
        Name, version and digest.
    card : mapping
        What the model was made from and how well it does.
    text : TextHead or None
        What was learned from a table of texts and labels; the default model has none.
    """

    tagger: TurnReader
    levels: AdditiveModel
    policy: Policy
    ref: ModelRef
    card: Mapping[str, Any] = field(default_factory=dict)
    segmenter: Segmenter = field(default_factory=Segmenter)
    text: TextHead | None = None

    def assess(self, conversation: Conversation, *, past_complaints: int = 0, now: datetime | None = None) -> Assessment:
        """Judge one conversation.

        Parameters
        ----------
        past_complaints : int
            Complaints of the same customer about the same topic in the policy's window before.
        now : datetime, optional
            Local time, for the off-hours route of the actions.
        """
        return self.assess_many([conversation], past_complaints=[past_complaints], now=now)[0]

    def assess_many(
        self,
        conversations: Iterable[Conversation],
        *,
        past_complaints: Sequence[int] | None = None,
        now: datetime | None = None,
        explain: bool = False,
    ) -> list[Assessment]:
        """Judge conversations, in their order.

        Parameters
        ----------
        explain : bool
            Tell the reasons down to single words (slower).
        """
        batch = list(conversations)
        past = list(past_complaints) if past_complaints is not None else [0] * len(batch)
        out: list[Assessment] = []
        with _no_collection():
            for start, end in _chunks(batch):
                out.extend(self._assess_chunk(batch[start:end], past[start:end], now, explain))
        return out

    def _assess_chunk(
        self, batch: Sequence[Conversation], past: Sequence[int], now: datetime | None, explain: bool
    ) -> list[Assessment]:
        table = self.tagger.read(batch)
        scores = self.tagger.score(table)
        features = pool(table, scores)
        if self.text is not None:
            features = np.hstack([features, self.text.score(batch)])
        terms = self.levels.terms(features)
        at_least = self.levels.at_least(terms)
        topics = self.tagger.topics(table, scores).argmax(axis=1).tolist()
        evidence = self._evidence(table, scores)
        explainer = Explainer(self, table, scores, terms)
        actions: dict[tuple[Level, frozenset[Signal]], tuple[Action, ...]] = {}
        out: list[Assessment] = []
        for c, conversation in enumerate(batch):
            own = evidence.get(c, ())
            p = at_least[c].tolist()
            findings = self._findings(own, scores, int(table.bounds[c]), int(table.bounds[c + 1]))
            level, _ = self.policy.decide(p, findings, own, past[c])
            asked = level, frozenset(f.signal for f in findings if f.standing and f.probability >= self.policy.low_confidence)
            if asked not in actions:
                actions[asked] = self.policy.actions_for(level, findings, now)
            out.append(
                Assessment(
                    conversation.id,
                    level,
                    round(p[1], 6),
                    (round(1 - p[0], 6), round(p[0] - p[1], 6), round(p[1] - p[2], 6), round(p[2], 6)),
                    _TOPICS[topics[c]],
                    findings,
                    own,
                    explainer.reasons(c, own, words=explain),
                    actions[asked],
                    table.not_analysed[c],
                    self.ref,
                )
            )
        return out

    # -- evidence ---------------------------------------------------------------------------

    def _evidence(self, table: TurnTable, scores: TurnScores) -> dict[int, tuple[Evidence, ...]]:
        """Return the evidence of each conversation that has any, in order of turn and place."""
        by_turn = self._rule_evidence(table, scores)
        for side, values in ((CUSTOMER, scores.customer), (AGENT, scores.agent)):
            self._add_model_evidence(table, scores, side, values, by_turn)
        found: dict[int, list[Evidence]] = {}
        turns = sorted(by_turn)
        owners = (np.searchsorted(table.bounds, turns, side="right") - 1).tolist() if turns else []
        for turn, c in zip(turns, owners, strict=True):
            items = by_turn[turn]
            if len(items) > 1:
                items.sort(key=lambda e: (e.start, e.end, e.signal))
            found.setdefault(c, []).extend(items)
        return {c: tuple(items) for c, items in found.items()}

    def _rule_evidence(self, table: TurnTable, scores: TurnScores) -> dict[int, list[Evidence]]:
        out: dict[int, list[Evidence]] = {}
        places = _places(table, list(table.hits))
        for (turn, hits), (index, original) in zip(table.hits.items(), places, strict=True):
            base = int(table.column.bounds[table.text_of[turn]])
            side = int(table.side[turn])
            items = out[turn] = []
            for hit in hits:
                start, end = table.column.span(base + hit.start, base + hit.end)
                probability = self._probability(scores, side, turn, hit.signal)
                if hit.status.counts and hit.rule.confidence >= self.policy.floor_confidence:
                    # A rule that its author calls unmistakable stands on its own; the learned layer
                    # can only add to it.
                    probability = max(probability, hit.rule.confidence)
                source = f"rule:{hit.rule.name}"
                items.append(Evidence(index, start, end, original[start:end], hit.signal, hit.status, source, round(probability, 6)))
        return out

    def _add_model_evidence(
        self, table: TurnTable, scores: TurnScores, side: int, values: Array, by_turn: dict[int, list[Evidence]]
    ) -> None:
        """Add the signals that the learned layer alone sees in the turns of a side."""
        signals = _SIGNALS[side]
        evident = (values[:, : len(signals)] >= 0) & (table.side == side)[:, None]
        told = {(turn, e.signal) for turn, items in by_turn.items() for e in items if e.status.counts}
        hot = [(turn, k) for turn, k in np.argwhere(evident).tolist() if (turn, signals[k]) not in told]
        turns = [turn for turn, _ in hot]
        spans = model_spans(self, table, side, turns, [k for _, k in hot])
        for (turn, k), (start, end), (index, original) in zip(hot, spans, _places(table, turns), strict=True):
            probability = round(float(1 / (1 + np.exp(-values[turn, k]))), 6)
            status = self._model_status(scores, turn, signals[k])
            by_turn.setdefault(turn, []).append(
                Evidence(index, start, end, original[start:end], signals[k], status, "model", probability)
            )

    def _probability(self, scores: TurnScores, side: int, turn: int, signal: Signal) -> float:
        column = _COLUMN.get(side, {}).get(signal)
        if column is None:  # an unknown speaker: no learned layer reads the turn
            return 0.5
        values = scores.customer if side == CUSTOMER else scores.agent
        return float(1 / (1 + np.exp(-values[turn, column])))

    def _model_status(self, scores: TurnScores, turn: int, signal: Signal) -> Status:
        """Return the status of a hit of the model: it counts, the question is whether it is done."""
        if signal not in DEMANDS:
            return Status.DONE
        return Status.DONE if scores.customer[turn, _STATUS_COLUMNS[Status.DONE]] > 0 else Status.THREATENED

    def _findings(self, evidence: Sequence[Evidence], scores: TurnScores, first: int, last: int) -> tuple[Finding, ...]:
        """Sum up the evidence by signal, in the order of the taxonomy."""
        if not evidence:
            return ()
        by_signal: dict[Signal, list[Evidence]] = {}
        for item in evidence:
            by_signal.setdefault(item.signal, []).append(item)
        out: list[Finding] = []
        for signal in sorted(by_signal, key=lambda s: _ORDER[s]):
            items = by_signal[signal]
            counting = [e for e in items if e.status.counts and e.probability >= _EVIDENT]
            if not counting:
                best = max(items, key=lambda e: (e.status.counts, e.probability))
                out.append(Finding(signal, best.probability, best.status, tuple(sorted({e.turn for e in items})), False))
                continue
            sure = max(e.probability for e in counting)
            done = any(e.status is Status.DONE for e in counting)
            status = Status.DONE if done else Status.THREATENED
            last_said = max(e.turn for e in counting)
            out.append(
                Finding(
                    signal,
                    sure,
                    status,
                    tuple(sorted({e.turn for e in counting})),
                    signal in HARMS or not self._withdrawn(signal, items, last_said, scores, first, last),
                )
            )
        return tuple(out)

    def _withdrawn(
        self, signal: Signal, items: Sequence[Evidence], last_said: int, scores: TurnScores, first: int, last: int
    ) -> bool:
        if signal not in DEMANDS:
            return False
        if any(e.status is Status.DENIED and e.turn > last_said for e in items):
            return True
        later = scores.customer[first + last_said + 1 : last, _STATUS_COLUMNS[Status.DENIED]]
        return bool(len(later)) and bool((later > 0).any())

    def with_rules(self, lexicon: Lexicon) -> RiskModel:
        """Return the same model reading with other rules, its weights as they were learned.

        It shows what a rule would change before it is shipped; train again to weigh it.
        """
        tagger = copy(self.tagger)
        tagger.lexicon = lexicon
        return replace(self, tagger=tagger)

    # -- tables -----------------------------------------------------------------------------

    def to_frame(self, assessments: Iterable[Assessment]) -> pd.DataFrame:
        """Return assessments as a flat table (see `riskmodel.frames.to_frame`)."""
        from .frames import to_frame

        return to_frame(assessments)

    def heat(self, conversation: Conversation, turn: int, signal: Signal) -> list[tuple[str, float]]:
        """Return each character of a turn's original text with what it adds to a signal's log-odds."""
        return character_weights(self, conversation, turn, signal)


def _chunks(batch: Sequence[Conversation]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the parts of a batch that are scored at once."""
    start = turns = 0
    for end, conversation in enumerate(batch):
        if end > start and (end - start == _CHUNK or turns + len(conversation.turns) > _TURNS):
            yield start, end
            start, turns = end, 0
        turns += len(conversation.turns)
    if start < len(batch):
        yield start, len(batch)


def _places(table: TurnTable, turns: Sequence[int]) -> list[tuple[int, str]]:
    """Return the index of each turn in its conversation, and its original text."""
    owners = (np.searchsorted(table.bounds, turns, side="right") - 1).tolist() if turns else []
    indices = [turn - int(table.bounds[c]) for turn, c in zip(turns, owners, strict=True)]
    return [(k, table.conversations[c].turns[k].text) for k, c in zip(indices, owners, strict=True)]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector: a batch makes many objects and no cycles, and looking for some
    among a model's hundred thousand tuples takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_ORDER = {s: i for i, s in enumerate(Signal)}
