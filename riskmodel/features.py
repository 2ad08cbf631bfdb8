"""The pooled features as a scikit-learn step, cross-fitted while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from .cases import Case
from .conversation import Conversation
from .pooling import FEATURE_NAMES, pool
from .tagger import SignalTagger

__all__ = ["FEATURE_NAMES", "ConversationFeatures", "pool"]

Array = np.ndarray[Any, Any]


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
