"""The level classifier compiled: a sum of piecewise linear functions, and its exact parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from .pipeline import LevelClassifier, monotone

__all__ = ["AdditiveModel", "compile_levels"]

Array = np.ndarray[Any, Any]


@numba.njit(cache=True, nogil=True)
def _terms(X: Array, knots: Array, values: Array, out: Array) -> None:
    n, f = X.shape
    k = knots.shape[1]
    outputs = values.shape[0]
    for i in range(n):
        for j in range(f):
            x = X[i, j]
            b = 0
            while b < k - 2 and x > knots[j, b + 1]:
                b += 1
            low, high = knots[j, b], knots[j, b + 1]
            share = 0.0 if high <= low else (min(max(x, low), high) - low) / (high - low)
            for o in range(outputs):
                out[i, j, o] = values[o, j, b] + share * (values[o, j, b + 1] - values[o, j, b])


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
        out = np.empty((*X.shape, len(self.intercept)))
        _terms(np.ascontiguousarray(X), self.knots, self.values, out)
        return out

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
    if len(levels.models_) != 3:
        raise ValueError(f"{len(levels.models_)} thresholds; expected 3, one for each of low, high and critical")
    knots, values, intercepts = [], [], []
    for model, (slope, offset) in zip(levels.models_, levels.sigmoids_, strict=True):
        spline, scaler, regression = (step for _, step in model.steps)
        coef = regression.coef_[0] / scaler.scale_
        intercepts.append(slope * (regression.intercept_[0] - coef @ scaler.mean_) + offset)
        corners = np.array([b.t[1:-1] for b in spline.bsplines_])  # degree 1: one extra knot at each end
        knots.append(corners)
        values.append(slope * coef.reshape(corners.shape))
    if not all(np.array_equal(knots[0], k) for k in knots):
        raise ValueError("the thresholds have different corners")
    compiled = AdditiveModel(knots[0], np.array(values), np.array(intercepts), np.zeros((3, X.shape[1])))
    baseline = compiled.terms(X).mean(axis=0).T
    return AdditiveModel(compiled.knots, compiled.values, compiled.intercept, np.ascontiguousarray(baseline))
