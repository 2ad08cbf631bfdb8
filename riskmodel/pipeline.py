"""The scikit-learn pipeline: labelled cases in, a calibrated probability for each risk level out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .additive import monotone
from .features import ConversationFeatures
from .tagger import SignalTagger
from .trust import hats
from .trust_fit import corners

__all__ = ["LevelClassifier", "make_risk_pipeline"]

Array = np.ndarray[Any, Any]

#: Corners that hardly any case reaches are not blown up to the scale of the others.
_LEAST_SCALE = 0.02


class LevelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Ordinal classes by additive models: one for each "at least this level".

    Each is a logistic regression over piecewise linear functions of the features (a generalised
    additive model), so that the log-odds are a sum of one term a feature and can be read exactly.
    The probabilities are calibrated by a sigmoid on held-out folds and made monotone.

    Parameters
    ----------
    n_knots : int
        Corners of each feature's function.
    C : float
        Inverse strength of the regularisation.
    cv : int
        Folds for calibration; by `groups` where they are given.

    Attributes
    ----------
    classes_ : ndarray, the levels in order
    knots_ : ndarray, shape (n_features, n_knots), the corners of each feature's function
    coef_ : ndarray, shape (n_thresholds, n_features, n_knots), what the functions are there
    intercept_ : ndarray, shape (n_thresholds,)
    sigmoids_ : ndarray, shape (n_thresholds, 2), slope and offset of each calibration
    """

    def __init__(self, n_knots: int = 4, C: float = 0.004, cv: int = 5) -> None:
        self.n_knots = n_knots
        self.C = C
        self.cv = cv

    def fit(
        self,
        X: Array,
        y: Array,
        groups: Array | None = None,
        sample_weight: Array | None = None,
        calibration_weight: Array | None = None,
        unsure_low: Array | None = None,
    ) -> LevelClassifier:
        """Learn from features and levels.

        Parameters
        ----------
        groups : array, optional
            Who wrote or labelled each row: what is held out together for calibration.
        calibration_weight : array, optional
            What each row counts for the calibration; `sample_weight` by default.
        unsure_low : array of bool, optional
            Rows that do not tell whether the first threshold is reached (single turns, whose writer
            judged signals and not the mood): they teach all thresholds but the first.
        """
        X, y = validate_data(self, X, y, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, y = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("all cases have the same level; at least two levels are needed")
        weight = _check_sample_weight(sample_weight, X)
        calibration = weight if calibration_weight is None else np.asarray(calibration_weight, dtype=float)
        self.knots_ = np.ascontiguousarray(corners(X, self.n_knots).T)
        basis = hats(X, self.knots_).reshape(len(X), -1)
        scale = np.maximum(basis.std(axis=0), _LEAST_SCALE)
        centre = basis.mean(axis=0)
        basis = ((basis - centre) / scale).astype(np.float32)

        def learn(rows: Array, target: Array) -> LogisticRegression:
            model = LogisticRegression(C=self.C, max_iter=3000, tol=1e-3)
            return model.fit(basis[rows], target[rows], sample_weight=weight[rows])

        coef, intercept, sigmoids = [], [], []
        for k in range(len(self.classes_) - 1):
            target = y > k
            known = np.ones(len(y), dtype=bool) if k or unsure_low is None else ~np.asarray(unsure_low, dtype=bool)
            held_out = np.full(len(y), np.nan)
            for train, test in self._folds(X, target, groups):
                train = train[known[train]]
                if len(np.unique(target[train])) == 2:
                    held_out[test] = learn(train, target).decision_function(basis[test])
            held_out[~known] = np.nan
            model = learn(np.flatnonzero(known), target)
            unscaled = model.coef_[0].astype(np.float64) / scale
            coef.append(unscaled.reshape(self.knots_.shape))
            intercept.append(float(model.intercept_[0]) - float(unscaled @ centre))
            sigmoids.append(_sigmoid(held_out, target, calibration))
        self.coef_, self.intercept_, self.sigmoids_ = np.array(coef), np.array(intercept), np.array(sigmoids)
        return self

    def _folds(self, X: Array, target: Array, groups: Array | None) -> list[tuple[Array, Array]]:
        if groups is not None and len(np.unique(groups)) >= 2:
            return list(GroupKFold(min(self.cv, len(np.unique(groups)))).split(X, target, groups))
        k = min(self.cv, int(np.bincount(target).min()))
        return list(StratifiedKFold(k, shuffle=True, random_state=0).split(X, target)) if k >= 2 else []

    def decision_function(self, X: Array) -> Array:
        """Return calibrated log-odds of "at least", shape (n_samples, n_thresholds)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        basis = hats(X, self.knots_).reshape(len(X), -1)
        raw = basis @ self.coef_.reshape(len(self.coef_), -1).T + self.intercept_
        calibrated: Array = raw * self.sigmoids_[:, 0] + self.sigmoids_[:, 1]
        return calibrated

    def predict_at_least(self, X: Array) -> Array:
        """Return P(level >= threshold), falling from left to right, shape (n_samples, n_thresholds)."""
        return monotone(self.decision_function(X))

    def predict_proba(self, X: Array) -> Array:
        """Return P(level), shape (n_samples, n_classes)."""
        at_least = self.predict_at_least(X)
        edges = np.column_stack([np.ones(len(at_least)), at_least, np.zeros(len(at_least))])
        levels: Array = edges[:, :-1] - edges[:, 1:]
        return levels

    def predict(self, X: Array) -> Array:
        """Return the highest level whose "at least" is more likely than not."""
        check_is_fitted(self)
        predicted: Array = self.classes_[(self.predict_at_least(X) >= 0.5).sum(axis=1)]
        return predicted


def _sigmoid(score: Array, target: Array, weight: Array) -> tuple[float, float]:
    known = ~np.isnan(score) & (weight > 0)
    if known.sum() < 20 or len(np.unique(target[known])) < 2:
        return 1.0, 0.0
    score = np.clip(score, -30, 30)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(score[known, None], target[known], sample_weight=weight[known])
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def make_risk_pipeline(tagger: SignalTagger | None = None, levels: LevelClassifier | None = None) -> Pipeline:
    """Return the pipeline that analysts clone, search, calibrate and dump.

    Fit it on a list of `Case` and their levels; ``pipeline.fit(cases, y, levels__groups=authors)``
    calibrates by author. It predicts for cases and for conversations.

    Examples
    --------
    >>> from riskmodel import load_cases, make_risk_pipeline
    >>> cases = [c for c in load_cases("train") if c.level is not None]   # doctest: +SKIP
    >>> pipeline = make_risk_pipeline().fit(cases, [c.level for c in cases])   # doctest: +SKIP
    """
    return Pipeline(
        [
            ("features", ConversationFeatures(clone(tagger) if tagger is not None else SignalTagger())),
            ("levels", clone(levels) if levels is not None else LevelClassifier()),
        ]
    )
