"""Why: which features move the risk, and which characters move a signal. Exact, not sampled.

Every score is a sum: the level's log-odds over features, a signal's log-odds over n-grams and rule
hits. The parts are read off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .additive import N_THRESHOLDS
from .assessment import Evidence, Reason
from .conversation import Conversation
from .heads import AGENT_HEADS, CUSTOMER_HEADS, TurnScores
from .pooling import FEATURE_NAMES
from .table import AGENT, CUSTOMER, TurnTable
from .taxonomy import Signal

if TYPE_CHECKING:
    from .model import RiskModel

__all__ = ["Explainer", "character_weights", "model_spans"]

Array = np.ndarray[Any, Any]

_RISK = 1  # the threshold "at least high"
_MAX_REASONS = 5
_MAX_WORDS = 8


def _group(name: str) -> str:
    """Return what a feature is about: its maximum, sum, last and mean tell of one thing."""
    side, base = ("agent ", name[6:]) if name.startswith("agent ") and ":" in name else ("", name)
    for tail in (":max", ":any", ":last", ":mean"):
        base = base.removesuffix(tail)
    if base in set(Signal):
        return f"signal:{base}"
    if base.startswith("either"):
        return "surest turn"
    if base.startswith(("mood", "deciding")):
        return "tone:agent" if side else "tone:customer"
    if base.startswith("status"):
        return base
    if base.startswith("step"):
        return "outside steps"
    if base.startswith(("insult", "harm")):
        return base.split(":")[0]
    return "dialogue shape"


#: Where a model has a text head, its scores of the three thresholds stand behind the features.
_TEXT = ("own words",) * N_THRESHOLDS
_GROUPS: tuple[str, ...] = tuple(dict.fromkeys((*map(_group, FEATURE_NAMES), *_TEXT)))
_MEMBERSHIP = np.zeros((len(FEATURE_NAMES) + N_THRESHOLDS, len(_GROUPS)))
_MEMBERSHIP[len(FEATURE_NAMES) :, -1] = 1
for _i, _name in enumerate(FEATURE_NAMES):
    _MEMBERSHIP[_i, _GROUPS.index(_group(_name))] = 1


class Explainer:
    """Reasons for the conversations of one batch."""

    def __init__(self, model: RiskModel, table: TurnTable, scores: TurnScores, terms: Array) -> None:
        self._model = model
        self._table = table
        self._scores = scores
        weights = (terms[:, :, _RISK] - model.levels.baseline[_RISK]) @ _MEMBERSHIP[: terms.shape[1]]
        top = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :_MAX_REASONS]
        self._top = top.tolist()
        self._weights = np.take_along_axis(weights, top, axis=1).round(4).tolist()

    def reasons(self, c: int, evidence: Sequence[Evidence], words: bool) -> tuple[Reason, ...]:
        """Return what moves the risk of conversation `c` most, in log-odds against the average case."""
        main = tuple(
            Reason(_GROUPS[g], w) for g, w in zip(self._top[c], self._weights[c], strict=True) if abs(w) >= 0.05
        )
        return main + self._words(c, evidence) if words else main

    def _words(self, c: int, evidence: Sequence[Evidence]) -> tuple[Reason, ...]:
        """Return the words that carry the surest signals, with what they add to the signal's log-odds.

        Where the model has a text head, the words count that it weighs, with what they add to the risk's.
        """
        if self._model.text is not None:
            return _best(self._model.text.weigh_words(self._table.conversations[c], _RISK))
        total: dict[str, float] = {}
        first = int(self._table.bounds[c])
        for item in sorted(evidence, key=lambda e: -e.probability)[:3]:
            turn = first + item.turn
            side = int(self._table.side[turn])
            if side not in (CUSTOMER, AGENT) or not item.status.counts:
                continue
            weights = _weights(self._model, self._table, turn, side, _head(side, item.signal))
            at = 0
            for word in self._model.segmenter.cut(self._table.text(turn)):
                weight = float(weights[at : at + len(word)].sum())
                if any(ch.isalnum() for ch in word):
                    total[word] = total.get(word, 0.0) + weight
                at += len(word)
        return _best(total)


def _best(total: dict[str, float]) -> tuple[Reason, ...]:
    best = sorted(total.items(), key=lambda kv: (-abs(kv[1]), kv[0]))[:_MAX_WORDS]
    return tuple(Reason(f"words:{word}", round(w, 4)) for word, w in best if abs(w) >= 0.05)


def character_weights(model: RiskModel, conversation: Conversation, turn: int, signal: Signal) -> list[tuple[str, float]]:
    """Return each original character of a turn with what its n-grams add to the signal's log-odds.

    The numbers add up to the n-grams' whole part of the score; rule hits come on top of it.
    """
    table = model.tagger.read([conversation])
    text = conversation.turns[turn].text
    out = [0.0] * len(text)
    side = int(table.side[turn])
    if side in (CUSTOMER, AGENT) and signal.by_agent == (side == AGENT):
        weights = _weights(model, table, turn, side, _head(side, signal))
        base = int(table.column.bounds[table.text_of[turn]])
        for k, weight in enumerate(weights.tolist()):
            out[table.column.span(base + k, base + k + 1)[0]] += weight
    return list(zip(text, out, strict=True))


def model_spans(
    model: RiskModel, table: TurnTable, side: int, turns: Sequence[int], heads: Sequence[int]
) -> list[tuple[int, int]]:
    """Return for each turn of a side the original span whose characters carry most of a head's weight.

    It is the run of characters with the largest sum after each character pays the turn's average,
    so that a long turn does not become one long span.
    """
    if not turns:
        return []
    part = model.tagger.customer_ if side == CUSTOMER else model.tagger.agent_
    texts = table.text_of[np.asarray(turns)]
    bases = table.column.bounds[texts].tolist()
    every = part.table.weigh_many(table.column.take(texts), heads)
    return [_span(table, base, weights) for base, weights in zip(bases, every, strict=True)]


def _span(table: TurnTable, base: int, weights: Array) -> tuple[int, int]:
    if not len(weights):
        return 0, 0
    rest = weights - max(float(weights.mean()), 0.0)
    best, start, end, run, begin = -np.inf, 0, len(rest), 0.0, 0
    for k, value in enumerate(rest.tolist()):
        if run <= 0:
            run, begin = value, k
        else:
            run += value
        if run > best:
            best, start, end = run, begin, k + 1
    return table.column.span(base + start, base + end)


def _head(side: int, signal: Signal) -> int:
    return (CUSTOMER_HEADS if side == CUSTOMER else AGENT_HEADS).index(signal.value)


def _weights(model: RiskModel, table: TurnTable, turn: int, side: int, head: int) -> Array:
    part = model.tagger.customer_ if side == CUSTOMER else model.tagger.agent_
    one = table.column.take(np.array([table.text_of[turn]]))
    weights: Array = part.table.weigh_characters(one, 0, head)
    return weights
