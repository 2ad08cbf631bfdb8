"""Learning the text head: a matrix of grams, and two linear models of each threshold.

One is a plain logistic regression, the other a support vector machine on features scaled by their
Naive-Bayes log-ratio. The first is better on few rows, the second on many; `texts` learns from held-out
scores how much each counts. Both are linear, so what is kept is one weight a gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from .conversation import Conversation
from .grams import Grams, GramTable, find_rows, vocabulary
from .ngrams import rounded
from .segment import Segmenter
from .texthead import TextHead, side_columns, side_grams

__all__ = ["Linear", "TextMatrix", "learn_linear"]

Array = np.ndarray[Any, Any]

# In how many texts a gram must stand, and what its block counts: characters, words, near words.
_BLOCKS = ((2, 1.0), (2, 1.0), (3, 0.5))
# Chosen by five-fold cross-validation on 26,000 comments: accuracy 0.917, area under the ROC curve 0.966;
# 0.9165 / 0.965 without near words, 0.913 for counts in place of presence, 0.907 and 0.915 for either model
# alone.
_PLAIN_C, _BAYES_C = 6.0, 0.2


class TextMatrix:
    """Which grams each conversation of a data set holds; any part is weighed as if it stood alone."""

    def __init__(self, conversations: Sequence[Conversation], segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.blocks: list[tuple[Array, sp.csr_matrix]] = []
        for column in side_columns(conversations):
            for grams, (min_df, _) in zip(side_grams(column, segmenter), _BLOCKS, strict=True):
                # The end marks alone are no text: a side that never says anything has no grams.
                keys = vocabulary(grams, min_df) if len(column.codes) > len(column) else np.zeros(0, np.uint64)
                self.blocks.append((keys, _presence(grams, keys)))

    @property
    def n_columns(self) -> int:
        return sum(len(keys) for keys, _ in self.blocks)

    def part(self, train: Array, *tests: Array) -> tuple[list[sp.csr_matrix], Array, list[Array]]:
        """Weigh the rows `train` and others by what is known of `train` alone.

        Returns
        -------
        matrices : list
            Of train, then of each of `tests`; all blocks side by side.
        kept : ndarray
            Which columns of all blocks are in use.
        idf : list of ndarray, one a block, of the kept columns
        """
        out: list[list[sp.csr_matrix]] = [[] for _ in range(1 + len(tests))]
        kept, idfs = [], []
        for b, (_, there) in enumerate(self.blocks):
            min_df, share = _BLOCKS[b % len(_BLOCKS)]
            own = there[train]
            df = np.bincount(own.indices, minlength=there.shape[1])
            keep = df >= min_df
            idf = (np.log((1 + own.shape[0]) / (1 + df[keep])) + 1).astype(np.float32).astype(np.float64)
            for k, rows in enumerate((own, *(there[t] for t in tests))):
                out[k].append(share * _weigh(rows[:, keep].tocsr(), idf))
            kept.append(keep)
            idfs.append(idf)
        return [sp.hstack(blocks).tocsr() for blocks in out], np.concatenate(kept), idfs

    def compile(self, weights: Array, kept: Array, idfs: Sequence[Array]) -> TextHead:
        """Lay weights (n_kept, 3) into tables; they are rounded as they are saved."""
        bounds = np.cumsum([0, *(len(keys) for keys, _ in self.blocks)])
        at = 0
        tables = []
        for b, (keys, _) in enumerate(self.blocks):
            own = keys[kept[bounds[b] : bounds[b + 1]]]
            share = _BLOCKS[b % len(_BLOCKS)][1]
            tables.append(GramTable(own, idfs[b].astype(np.float32), rounded(share * weights[at : at + len(own)])))
            at += len(own)
        return TextHead(tuple(tables), self.segmenter)


def _presence(grams: Grams, keys: Array) -> sp.csr_matrix:
    row = find_rows(grams.keys, keys)
    known = row >= 0
    matrix = sp.csr_matrix((np.ones(int(known.sum())), (grams.owner[known], row[known])), shape=(grams.n_texts, len(keys)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _weigh(there: sp.csr_matrix, idf: Array) -> sp.csr_matrix:
    norm = np.sqrt(there @ (idf * idf))
    out = there.copy()
    out.data = idf[there.indices] * np.repeat(1 / np.maximum(norm, 1e-300), np.diff(there.indptr))
    return out


@dataclass(frozen=True, eq=False)
class Linear:
    """Two linear models of one threshold: plain, and with Naive-Bayes weights."""

    weights: Array  # (n_columns, 2)
    intercept: Array  # (2,)

    def score(self, X: sp.csr_matrix) -> Array:
        """Return both scores, shape (n_rows, 2)."""
        scores: Array = X @ self.weights + self.intercept
        return scores


def learn_linear(X: sp.csr_matrix, target: Array) -> Linear:
    """Learn both models of a target of two values."""
    if target.all() or not target.any() or not X.shape[1]:
        return Linear(np.zeros((X.shape[1], 2)), np.zeros(2))
    # The dual forms: a dozen times faster than the primal on so many sparse features. The seed is fixed,
    # and liblinear runs in one thread: the same rows give the same weights.
    plain = LogisticRegression(C=_PLAIN_C, solver="liblinear", dual=True, tol=0.02, random_state=0, max_iter=300).fit(X, target)
    with_it, without = (1 + np.bincount(X[rows].indices, minlength=X.shape[1]) for rows in (target, ~target))
    ratio = np.log((with_it / with_it.sum()) / (without / without.sum()))
    scaled = X.copy()
    scaled.data = X.data * ratio[X.indices]
    bayes = LinearSVC(C=_BAYES_C, dual=True, tol=0.02, random_state=0, max_iter=3000).fit(scaled, target)
    weights = np.column_stack([plain.coef_[0], bayes.coef_[0] * ratio])
    return Linear(weights, np.array([plain.intercept_[0], bayes.intercept_[0]]))
