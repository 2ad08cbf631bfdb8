"""The scikit-learn form of the n-grams: learns a vocabulary, and gives a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .ngrams import MAX_N, ngram_text, units
from .normalize import NormalizedTexts, normalize_many

__all__ = ["NgramVectorizer"]

Array = np.ndarray[Any, Any]


class NgramVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to a sparse matrix of weighed character n-grams.

    Parameters
    ----------
    max_n : int
        Longest n-gram, 1 to 4.
    min_df : int
        An n-gram is kept when at least so many texts hold it.

    Attributes
    ----------
    keys_ : ndarray of uint64, shape (n_features,)
        The n-grams, sorted; 16 bits a character. With an n-gram all its heads are kept too, since
        no text holds the longer one without the shorter.
    idf_ : ndarray of float32, shape (n_features,)
    """

    def __init__(self, max_n: int = 4, min_df: int = 2) -> None:
        self.max_n = max_n
        self.min_df = min_df

    def fit(self, X: list[str] | NormalizedTexts, y: object = None) -> NgramVectorizer:
        """Learn vocabulary and document frequencies."""
        if not 1 <= self.max_n <= MAX_N:
            raise ValueError(f"max_n is {self.max_n}; expected 1 to {MAX_N}")
        text, bounds = units(_column(X))
        everything = []
        for n in range(1, self.max_n + 1):
            if len(text) < n:
                continue
            key = np.zeros(len(text) - n + 1, dtype=np.uint64)
            for k in range(n):
                key = (key << np.uint64(16)) | text[k : len(text) - n + 1 + k].astype(np.uint64)
            owner = np.searchsorted(bounds, np.arange(len(key)), side="right") - 1
            inside = np.arange(len(key)) + n <= bounds[owner + 1]
            key, owner = key[inside], owner[inside]
            order = np.lexsort((owner, key))
            key, owner = key[order], owner[order]
            first = np.ones(len(key), dtype=bool)
            first[1:] = (key[1:] != key[:-1]) | (owner[1:] != owner[:-1])
            everything.append(key[first])
        keys, df = np.unique(np.concatenate(everything), return_counts=True) if everything else (np.zeros(0, np.uint64), np.zeros(0))
        kept = df >= self.min_df
        self.keys_ = keys[kept]
        self.idf_ = (np.log((1 + len(bounds) - 1) / (1 + df[kept])) + 1).astype(np.float32)
        return self

    def transform(self, X: list[str] | NormalizedTexts) -> sp.csr_matrix:
        """Return the matrix, shape (n_texts, n_features), float64."""
        check_is_fitted(self)
        text, bounds = units(_column(X))
        place = np.argsort(self.keys_)
        keys = self.keys_[place]
        found: list[Array] = []
        owners: list[Array] = []
        owner = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        for n in range(1, min(self.max_n, len(text)) + 1):
            key = np.zeros(len(text) - n + 1, dtype=np.uint64)
            for k in range(n):
                key = (key << np.uint64(16)) | text[k : len(text) - n + 1 + k].astype(np.uint64)
            at = np.minimum(np.searchsorted(keys, key), max(len(keys) - 1, 0))
            known = np.flatnonzero(keys[at] == key) if len(keys) else np.zeros(0, np.int64)
            found.append(place[at[known]])
            owners.append(owner[known])
        columns = np.concatenate(found) if found else np.zeros(0, np.int64)
        rows = np.concatenate(owners) if owners else np.zeros(0, np.int64)
        # No key crosses the end of a text: none was learned that does.
        matrix = sp.csr_matrix((np.ones(len(columns)), (rows, columns)), shape=(len(bounds) - 1, len(keys)))
        idf = self.idf_.astype(np.float64)
        norm = matrix @ (idf * idf)
        matrix.data *= idf[matrix.indices]
        matrix.data *= np.repeat(1 / np.sqrt(np.maximum(norm, 1e-300)), np.diff(matrix.indptr))
        return matrix

    def get_feature_names_out(self, input_features: object = None) -> Array:
        """Return the n-grams as text; ␂ and ␃ stand for the text's ends."""
        check_is_fitted(self)
        return np.array([ngram_text(int(k)) for k in self.keys_], dtype=object)


def _column(X: list[str] | NormalizedTexts) -> NormalizedTexts:
    return X if isinstance(X, NormalizedTexts) else normalize_many(X)
