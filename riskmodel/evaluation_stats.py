"""Statistics of weighed conversations, and their bootstrap intervals.

Every statistic takes a weight for each conversation. A bootstrap sample is then a vector of whole
numbers, so resampling needs no copies, and two models are compared on the very same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Interval",
    "Ranking",
    "bootstrap_weights",
    "calibration_bins",
    "difference",
    "intervals",
    "macro_f1",
    "weighted_kappa",
    "weighted_share",
    "wilson",
]

Array = np.ndarray[Any, Any]
Statistic = Callable[[Array], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the range that holds it in 95 of 100 samples."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """Return plain numbers; None where a value is not defined."""
        return {k: None if v != v else round(float(v), 4) for k, v in (("value", self.value), ("low", self.low), ("high", self.high))}


class Ranking:
    """Scores sorted once, for statistics under many weights.

    Parameters
    ----------
    target : ndarray of bool
    score : ndarray of float
    """

    def __init__(self, target: Array, score: Array) -> None:
        self.target, self.score = np.asarray(target, dtype=bool), np.asarray(score, dtype=float)
        self._order = np.argsort(-self.score, kind="stable")
        ranked = self.score[self._order]
        self._ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.zeros(0, np.int64)
        self._positive = self.target[self._order]

    def counts(self, weight: Array) -> tuple[Array, Array, Array]:
        """Return scores from high to low, and the weight of positives and of negatives at or above each."""
        w = np.asarray(weight, dtype=float)[self._order]
        hits, all_ = np.cumsum(w * self._positive), np.cumsum(w)
        return self.score[self._order][self._ends], hits[self._ends], (all_ - hits)[self._ends]

    def average_precision(self, weight: Array) -> float:
        """Return the area under precision over recall, in steps."""
        _, hits, false = self.counts(weight)
        if not len(hits) or hits[-1] <= 0:
            return float("nan")
        precision = hits / np.maximum(hits + false, 1e-12)
        return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])

    def recall_at(self, weight: Array, false_alarms: float) -> float:
        """Return the best recall at which at most this share of the negatives is called."""
        _, hits, false = self.counts(weight)
        if not len(hits) or hits[-1] <= 0 or false[-1] <= 0:
            return float("nan")
        allowed = np.searchsorted(false, false_alarms * false[-1] + 1e-9, side="right")
        return float(hits[allowed - 1] / hits[-1]) if allowed else 0.0

    def calibration_error(self, weight: Array, bins: int = 10) -> float:
        """Return the mean gap between what was said and what was so, over bins of equal width."""
        total, said, so = calibration_bins(self.target, self.score, weight, bins)
        return float(np.abs(said - so).sum() / total.sum()) if total.sum() else float("nan")

    def brier(self, weight: Array) -> float:
        """Return the mean squared distance from the truth."""
        return weighted_share((self.score - self.target) ** 2, np.ones(len(self.score), dtype=bool), weight)


def calibration_bins(target: Array, probability: Array, weight: Array, bins: int = 10) -> tuple[Array, Array, Array]:
    """Return for each bin its weight, the sum of probabilities and the weight of positives."""
    which = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    sums = (np.bincount(which, weights=w, minlength=bins) for w in (weight, weight * probability, weight * target))
    total, said, so = sums
    return total, said, so


def weighted_share(value: Array, among: Array, weight: Array) -> float:
    """Return the weighed mean of `value` over the conversations `among`."""
    w = weight * among
    total = w.sum()
    return float((w * value).sum() / total) if total > 0 else float("nan")


def wilson(k: int, n: int, z: float = 1.96) -> Interval:
    """Return a share of n independent conversations with Wilson's interval: honest where k is 0 or n."""
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"))
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(p, float(middle - half), float(middle + half))


def macro_f1(y: Array, called: Array, weight: Array) -> float:
    """Return the mean F1 of the classes that occur."""
    scores = []
    for k in np.unique(y):
        right = (weight * ((y == k) & (called == k))).sum()
        either = (weight * (y == k)).sum() + (weight * (called == k)).sum()
        scores.append(2 * right / either if either > 0 else 0.0)
    return float(np.mean(scores)) if scores else float("nan")


def weighted_kappa(y: Array, called: Array, weight: Array, classes: int = 4) -> float:
    """Return Cohen's kappa with quadratic weights."""
    table = np.bincount(y * classes + called, weights=weight, minlength=classes * classes).reshape(classes, classes)
    chance = np.outer(table.sum(1), table.sum(0)) / max(table.sum(), 1e-12)
    cost = (np.arange(classes)[:, None] - np.arange(classes)) ** 2
    below = (cost * chance).sum()
    return float(1 - (cost * table).sum() / below) if below > 0 else float("nan")


def bootstrap_weights(n: int, repeats: int, seed: int, groups: Array | None = None) -> Array:
    """Return how often each conversation is drawn in each sample, shape (repeats, n).

    Parameters
    ----------
    groups : ndarray, optional
        Draw whole groups (authors) instead of conversations.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.multinomial(n, np.full(n, 1 / n), size=repeats).astype(np.int32) if n else np.zeros((repeats, 0), np.int32)
    names, which = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    return rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=repeats).astype(np.int32)[:, which]


def intervals(statistics: Mapping[str, Statistic], samples: Array) -> dict[str, Interval]:
    """Return each statistic with its 95 % percentile interval over the samples."""
    return {name: _interval(statistic, samples) for name, statistic in statistics.items()}


def _interval(statistic: Statistic, samples: Array) -> Interval:
    value = statistic(np.ones(samples.shape[1]))
    return _summed(value, np.array([statistic(w) for w in samples]))


def _summed(value: float, drawn: Array) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    # Some statistics (the calibration error) are larger on every resampled set than on the set itself.
    return Interval(value, min(float(low), value), max(float(high), value))


def difference(a: Statistic, b: Statistic, samples: Array) -> Interval:
    """Return b - a with its interval, both on the same samples."""
    ones = np.ones(samples.shape[1])
    return _summed(b(ones) - a(ones), np.array([b(w) - a(w) for w in samples]))
