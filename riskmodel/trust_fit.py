"""Learn how far to believe words and rules (`riskmodel.trust`), from scores of turns that the
n-grams had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

from .trust import N_RULE_COLUMNS, N_TIERS, TurnTrust, hats

__all__ = ["corners", "design", "fit_trust"]

Array = np.ndarray[Any, Any]

_N_KNOTS = 5
_MIN_POSITIVES = 8
_PLAIN = -2.0  # log-odds below which all heads of a turn say nothing


def corners(X: Array, n: int) -> Array:
    """Return rising corners for each feature, shape (n, n_features).

    Half way between even steps and quantiles: quantiles alone coincide where a feature is mostly
    zero, even steps alone leave the crowded end without corners.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    flat = high - low < 1e-9
    low, high = np.where(flat, low - 1, low), np.where(flat, high + 1, high)
    even = np.linspace(low, high, n)
    quantiles = np.quantile(X, np.linspace(0, 1, n), axis=0)
    return np.where(flat, even, (even + quantiles) / 2)


def design(X: Array, tiers: Array, knots: Array) -> Array:
    """Return the columns a linear model learns from: hats over the corners, one column a tier."""
    steps = np.stack([tiers == t for t in range(1, N_TIERS + 1)], axis=2)
    return np.hstack([hats(X, knots).reshape(len(X), -1), steps.reshape(len(X), -1)])


def fit_trust(
    X: Array, tiers: Array, y: Array, use: Array, C: float, folds: Sequence[Array], n_jobs: int | None
) -> tuple[TurnTrust, Array]:
    """Learn the additive models of all heads.

    Parameters
    ----------
    X : ndarray, shape (n_turns, n_heads + 1)
        See `readings`.
    tiers : ndarray of int8, shape (n_turns, N_RULE_COLUMNS)
    y, use : ndarray of bool, shape (n_turns, n_heads)
        What is so, and which turns teach each head.
    folds : sequence of ndarray of bool
        Turns to hold out together.

    Returns
    -------
    trust, held_out
        The compiled models, and the scores of all turns by models that did not see their fold.
    """
    knots = np.ascontiguousarray(corners(X, _N_KNOTS).T)
    basis = design(X, tiers, knots)
    scale = np.maximum(basis.std(axis=0), 1e-9)
    centre = basis.mean(axis=0)
    basis -= centre
    basis /= scale
    # Most turns of a conversation plainly carry nothing: every third of them stands for three.
    plain = (X[:, :-1].max(axis=1) < _PLAIN) & ~tiers.any(axis=1)
    weight = np.where(plain, np.where(np.arange(len(X)) % 3 == 0, 3.0, 0.0), 1.0)
    dense = X.shape[1] * _N_KNOTS

    def one(h: int) -> tuple[Array, float, Array]:
        mine = slice(h * _N_KNOTS, (h + 1) * _N_KNOTS)
        alone = np.zeros(basis.shape[1])  # the head's own score as it is, where there is too little to learn from
        alone[mine] = knots[h] * scale[mine]

        def learn(seen: Array) -> tuple[Array, float]:
            seen = seen & (weight > 0)
            if min(y[seen, h].sum(), (~y[seen, h]).sum()) < _MIN_POSITIVES:
                return alone, float((alone * centre / scale).sum())
            model = LogisticRegression(C=C, max_iter=1000, tol=1e-3)
            model.fit(basis[seen], y[seen, h], sample_weight=weight[seen])
            return model.coef_[0], float(model.intercept_[0])

        coef, bias = learn(use[:, h])
        held_out = np.zeros(len(X))
        for test in folds:
            part = learn(use[:, h] & ~test)
            held_out[test] = basis[test] @ part[0] + part[1]
        return coef / scale, bias - float((coef / scale) @ centre), held_out

    fitted = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(one)(h) for h in range(y.shape[1]))
    coef = np.array([f[0] for f in fitted])
    n = len(coef)
    trust = TurnTrust(
        knots,
        np.ascontiguousarray(coef[:, :dense].reshape(n, X.shape[1], _N_KNOTS).transpose(1, 2, 0)),
        np.ascontiguousarray(coef[:, dense:].reshape(n, N_RULE_COLUMNS, N_TIERS).transpose(1, 2, 0)),
        np.array([f[1] for f in fitted]),
    )
    return trust, np.array([f[2] for f in fitted]).T
