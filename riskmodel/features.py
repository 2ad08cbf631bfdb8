"""A conversation as numbers: what its turns carry, how that adds up, and the shape of the dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from .cases import Case
from .conversation import Conversation
from .table import TurnTable
from .tagger import AGENT_HEADS, CUSTOMER_HEADS, SignalTagger, TurnScores, reach
from .taxonomy import OUTSIDE_STEPS, Signal

__all__ = ["FEATURE_NAMES", "ConversationFeatures", "pool"]

Array = np.ndarray[Any, Any]

_N_C, _N_A = len(CUSTOMER_HEADS), len(AGENT_HEADS)
_C = {name: i for i, name in enumerate(CUSTOMER_HEADS)}
_A = {name: i for i, name in enumerate(AGENT_HEADS)}
_STEPS = np.array(sorted(_C[s.value] for s in OUTSIDE_STEPS))
_MOOD_C, _MOOD_A = _C["mood:low"], _A["mood:low"]
_DENIED, _INSULT = _C["status:denied"], _C[Signal.CUSTOMER_INSULT.value]
_WEIGHTY = np.array([_C[Signal.MANAGEMENT_ESCALATION.value], _C[Signal.INFLUENTIAL_IDENTITY.value]])
_DONE = _C["status:done"]

_EXTRA = (
    "step", "step:standing", "step:second", "step:done", "step:weighty", "insult:count", "harm",
    "turns", "customer turns", "agent turns", "customer share", "customer length", "longest turn",
    "burst", "unanswered", "repeated", "last is customer", "rule:low", "rule:high", "rule:critical",
)  # fmt: skip
FEATURE_NAMES: tuple[str, ...] = (
    *(f"{n}:max" for n in CUSTOMER_HEADS),
    *(f"{n}:any" for n in CUSTOMER_HEADS),
    *(f"{n}:last" for n in CUSTOMER_HEADS),
    *(f"{n}:mean" for n in CUSTOMER_HEADS),
    *(f"agent {n}:max" for n in AGENT_HEADS),
    *(f"agent {n}:any" for n in AGENT_HEADS),
    *(f"agent {n}:mean" for n in AGENT_HEADS),
    *_EXTRA,
)


@numba.njit(cache=True, nogil=True)
def _pool(
    bounds: Array, side: Array, text_of: Array, lengths: Array, customer: Array, agent: Array,
    steps: Array, weighty: Array, denied: int, done: int, insult: int, n_signals_c: int, harm: Array, out: Array,
) -> None:  # fmt: skip
    n_c, n_a = customer.shape[1], agent.shape[1]
    for c in range(len(bounds) - 1):
        first, last = bounds[c], bounds[c + 1]
        row = out[c]
        count_c = 0
        count_a = 0
        chars_c = 0
        chars = 0
        longest = 0
        burst = 0
        run = 0
        repeated = 0
        unanswered = 0
        best = np.full(n_c, -8.0)
        miss = np.ones(n_c)
        mean = np.zeros(n_c)
        tail = np.full(n_c, -8.0)
        best_a = np.full(n_a, -8.0)
        miss_a = np.ones(n_a)
        mean_a = np.zeros(n_a)
        top_p = np.zeros(len(steps))
        standing = 0.0
        step_done = 0.0
        insults = 0.0
        weight = 0.0
        for t in range(first, last):
            chars += lengths[t]
            if side[t] == 0:
                count_c += 1
                chars_c += lengths[t]
                longest = max(longest, lengths[t])
                run += 1
                burst = max(burst, run)
                unanswered += 1
                if lengths[t] > 3:
                    for u in range(max(first, t - 30), t):
                        if text_of[u] == text_of[t] and side[u] == 0:
                            repeated += 1
                            break
                withdrawn = 1 / (1 + np.exp(-customer[t, denied]))
                standing *= 1 - withdrawn
                p_done = 1 / (1 + np.exp(-customer[t, done]))
                here = 0.0
                for h in range(n_c):
                    z = min(8.0, max(-8.0, customer[t, h]))
                    p = 1 / (1 + np.exp(-z))
                    best[h] = max(best[h], z)
                    miss[h] *= 1 - p
                    mean[h] += z
                    tail[h] = z if run == 1 else max(tail[h], z)
                    if h == insult:
                        insults += p
                for k in range(len(steps)):
                    p = 1 / (1 + np.exp(-customer[t, steps[k]]))
                    top_p[k] = max(top_p[k], p)
                    here = max(here, p)
                for k in range(len(weighty)):
                    weight = max(weight, 1 / (1 + np.exp(-customer[t, weighty[k]])))
                standing = max(standing, here)
                step_done = max(step_done, here * p_done)
            else:
                if side[t] == 1:
                    count_a += 1
                    unanswered = 0
                    for h in range(n_a):
                        z = min(8.0, max(-8.0, agent[t, h]))
                        best_a[h] = max(best_a[h], z)
                        miss_a[h] *= 1 - 1 / (1 + np.exp(-z))
                        mean_a[h] += z
                run = 0
        at = 0
        for h in range(n_c):
            row[at + h] = best[h] / 4
            row[at + n_c + h] = 1 - miss[h] if h < n_signals_c else 0.0
            row[at + 2 * n_c + h] = tail[h] / 4 if count_c else -2.0
            row[at + 3 * n_c + h] = mean[h] / count_c / 4 if count_c else -2.0
        at = 4 * n_c
        for h in range(n_a):
            row[at + h] = best_a[h] / 4
            row[at + n_a + h] = 1 - miss_a[h]
            row[at + 2 * n_a + h] = mean_a[h] / count_a / 4 if count_a else -2.0
        at += 3 * n_a
        top = 0.0
        second = 0.0
        for k in range(len(steps)):
            if top_p[k] > top:
                second = top
                top = top_p[k]
            else:
                second = max(second, top_p[k])
        worst = 0.0
        for k in range(len(harm)):
            worst = max(worst, 1 / (1 + np.exp(-best[harm[k]])))
        row[at] = top
        row[at + 1] = standing
        row[at + 2] = second
        row[at + 3] = step_done
        row[at + 4] = top * weight
        row[at + 5] = min(insults, 4.0) / 2
        row[at + 6] = worst
        row[at + 7] = np.log1p(last - first) / 4
        row[at + 8] = np.log1p(count_c) / 4
        row[at + 9] = np.log1p(count_a) / 4
        row[at + 10] = chars_c / chars if chars else 0.0
        row[at + 11] = np.log1p(chars_c) / 8
        row[at + 12] = np.log1p(longest) / 8
        row[at + 13] = np.log1p(burst) / 4
        row[at + 14] = np.log1p(unanswered) / 4
        row[at + 15] = np.log1p(repeated) / 4
        row[at + 16] = 1.0 if last > first and side[last - 1] == 0 else 0.0


def pool(table: TurnTable, scores: TurnScores) -> Array:
    """Add the turns of each conversation up.

    Returns
    -------
    ndarray, shape (n_conversations, len(FEATURE_NAMES))
        Log-odds are divided by four and counts are logarithms, so that all columns have about the
        same scale and a linear model can be read.
    """
    out = np.zeros((len(table.bounds) - 1, len(FEATURE_NAMES)))
    harm = np.array([_C[s.value] for s in (Signal.SELF_HARM, Signal.VIOLENCE_THREAT, Signal.SAFETY_INCIDENT)])
    _pool(
        table.bounds, table.side, table.text_of, table.lengths, scores.customer, scores.agent,
        _STEPS, _WEIGHTY, _DENIED, _DONE, _INSULT, _C["status:denied"], harm, out,
    )  # fmt: skip
    _add_rules(table, out)
    return out


def _add_rules(table: TurnTable, out: Array) -> None:
    """Add how sure the surest rule is whose signal counts, by the level the signal can bring alone."""
    if not table.hits:
        return
    turns = np.fromiter(table.hits, dtype=np.int64, count=len(table.hits))
    owners = (np.searchsorted(table.bounds, turns, side="right") - 1).tolist()
    first = len(FEATURE_NAMES) - 3
    for c, hits in zip(owners, table.hits.values(), strict=True):
        for hit in hits:
            if hit.status.counts:
                column = first + reach(hit.signal, hit.status) - 1
                out[c, column] = max(out[c, column], hit.rule.confidence)


class ConversationFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cases or conversations to the matrix of `FEATURE_NAMES`.

    While fitting, the tagger's scores are cross-fitted: a case is read by a tagger that did not see
    its author, so that the step after this one learns how far the tagger can be trusted on new
    people. (scikit-learn's `TargetEncoder` does the same.)

    Parameters
    ----------
    tagger : SignalTagger, optional

    Attributes
    ----------
    tagger_ : SignalTagger
    """

    def __init__(self, tagger: SignalTagger | None = None) -> None:
        self.tagger = tagger

    def fit(self, X: Sequence[Case], y: object = None) -> ConversationFeatures:
        """Learn the tagger."""
        self.tagger_ = clone(self.tagger) if self.tagger is not None else SignalTagger()
        self.tagger_.fit(X)
        return self

    def fit_transform(self, X: Sequence[Case], y: object = None) -> Array:
        """Learn the tagger and return cross-fitted features."""
        self.tagger_ = clone(self.tagger) if self.tagger is not None else SignalTagger()
        scores = self.tagger_.cross_score(X)
        return pool(self.tagger_.read(X), scores)

    def transform(self, X: Sequence[Case | Conversation]) -> Array:
        """Return features, shape (n_conversations, n_features)."""
        check_is_fitted(self)
        table = self.tagger_.read(X)
        return pool(table, self.tagger_.score(table))

    def get_feature_names_out(self, input_features: object = None) -> Array:
        """Return `FEATURE_NAMES`."""
        return np.array(FEATURE_NAMES, dtype=object)
