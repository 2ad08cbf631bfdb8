"""The level classifier compiled: a sum of piecewise linear functions, and its exact parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .pipeline import LevelClassifier

__all__ = ["N_THRESHOLDS", "AdditiveModel", "compile_levels", "monotone"]

Array = np.ndarray[Any, Any]

N_THRESHOLDS = 3  # level >= low, high, critical


@dataclass(frozen=True, eq=False)
class AdditiveModel:
    """One function a feature and threshold.

    Attributes
    ----------
    knots : ndarray, shape (n_features, n_knots)
        Corners, rising.
    values : ndarray, shape (3, n_features, n_knots)
        What the feature adds to the calibrated log-odds at each corner.
    intercept : ndarray, shape (3,)
    baseline : ndarray, shape (3, n_features)
        What each feature adds on average over the training cases; reasons are told against it.
    """

    knots: Array
    values: Array
    intercept: Array
    baseline: Array

    def terms(self, X: Array) -> Array:
        """Return what each feature adds, shape (n_samples, n_features, 3)."""
        n_features, n_knots = self.knots.shape
        piece = np.zeros(X.shape, dtype=np.int64)
        for k in range(1, n_knots - 1):
            piece += self.knots[:, k] < X
        at = piece + np.arange(n_features) * n_knots
        low, high = self.knots.ravel()[at], self.knots.ravel()[at + 1]
        width = high - low
        share = np.clip(X, low, high) - low
        np.divide(share, width, out=share, where=width > 0)
        share[width <= 0] = 0.0
        values = np.moveaxis(self.values, 0, -1).reshape(-1, len(self.intercept))  # rows: feature, corner
        start = values[at]
        terms: Array = start + share[:, :, None] * (values[at + 1] - start)
        return terms

    def at_least(self, terms: Array) -> Array:
        """Return P(level >= low, high, critical) from the terms, shape (n_samples, 3)."""
        return monotone(terms.sum(axis=1) + self.intercept)


def compile_levels(levels: LevelClassifier, X: Array) -> AdditiveModel:
    """Compile a fitted classifier of all four levels.

    Parameters
    ----------
    X : ndarray
        Training features, for the baseline.
    """
    if len(levels.coef_) != 3:
        raise ValueError(f"{len(levels.coef_)} thresholds; expected 3, one for each of low, high and critical")
    slope, offset = levels.sigmoids_.T
    compiled = AdditiveModel(
        levels.knots_, slope[:, None, None] * levels.coef_, slope * levels.intercept_ + offset, np.zeros((3, X.shape[1]))
    )
    baseline = compiled.terms(X).mean(axis=0).T
    return AdditiveModel(compiled.knots, compiled.values, compiled.intercept, np.ascontiguousarray(baseline))


def monotone(log_odds: Array) -> Array:
    """Return probabilities of nested events: none is more likely than the one before it.

    The middle one is the best known (for levels, the risk): its neighbours give way to it.
    """
    chance = np.empty_like(log_odds)
    sure = log_odds >= 0  # the exponential of a large number would overflow
    small = np.exp(np.where(sure, -log_odds, log_odds))
    np.divide(np.where(sure, 1.0, small), 1 + small, out=chance)
    middle = chance.shape[1] // 2
    chance[:, middle:] = np.minimum.accumulate(chance[:, middle:], axis=1)
    chance[:, : middle + 1] = np.maximum.accumulate(chance[:, middle::-1], axis=1)[:, ::-1]
    return chance
