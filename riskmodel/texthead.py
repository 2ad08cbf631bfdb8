"""The text head: what the words of a whole conversation say of its level, learned without turn labels.

Characters 1 to 4 and words 1 to 2 of what the customer said, and of what the agent said. Two linear
models are learned, plain and with Naive-Bayes weights (the first is better on few rows, the second on
many); how much each counts is learned from held-out scores (`texts`). What is kept is their weighed sum:
one weight a gram, so scoring is one pass and exact for explanations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from .conversation import Conversation, Speaker
from .grams import WordTable, char_grams, count_matrix, vocabulary, weigh, word_grams
from .ngrams import NgramTable, rounded
from .normalize import NormalizedTexts, normalize_many
from .segment import Segmenter

__all__ = ["N_OUTPUTS", "Linear", "TextHead", "TextMatrix", "learn_linear"]

Array = np.ndarray[Any, Any]

MAX_N = 4
MIN_DF = 2
N_OUTPUTS = 3  # level >= low, high, critical
_PLAIN_C, _BAYES_C = 6.0, 4.0
_SIDES = ((Speaker.CUSTOMER, Speaker.UNKNOWN), (Speaker.AGENT,))


def side_columns(conversations: Sequence[Conversation]) -> tuple[NormalizedTexts, NormalizedTexts]:
    """Return what the customer and what the agent said in each conversation; turns part with a space."""
    customer, agent = (normalize_many(["\n".join(t.text for t in c.turns if t.speaker in who) for c in conversations]) for who in _SIDES)
    return customer, agent


@dataclass(frozen=True, eq=False)
class TextHead:
    """The compiled head.

    Attributes
    ----------
    chars, words : tuple of two tables
        Customer's and agent's.
    """

    chars: tuple[NgramTable, NgramTable]
    words: tuple[WordTable, WordTable]
    segmenter: Segmenter

    def score(self, conversations: Sequence[Conversation]) -> Array:
        """Return the log-odds of the three thresholds, shape (n_conversations, 3), without intercept."""
        out = np.zeros((len(conversations), N_OUTPUTS))
        for column, chars, words in zip(side_columns(conversations), self.chars, self.words, strict=True):
            if len(chars.keys):
                out += chars.project(column) + words.project(column, self.segmenter)
        return out

    def weigh_characters(self, text: str, output: int = 1, *, agent: bool = False) -> list[tuple[str, float]]:
        """Return each character of one text with what it adds to the log-odds of a threshold."""
        column = normalize_many([text])
        out = [0.0] * len(text)
        if not text or not len(self.chars[agent].keys):
            return list(zip(text, out, strict=True))
        weights = self.chars[agent].weigh_characters(column, 0, output)
        weights = weights + self.words[agent].weigh_characters(column, self.segmenter, output)
        for k, weight in enumerate(weights.tolist()):
            out[column.span(k, k + 1)[0]] += weight
        return list(zip(text, out, strict=True))


class TextMatrix:
    """Counts of the grams of a data set, from which any part is weighed as if it stood alone.

    Parameters
    ----------
    conversations : sequence of Conversation
    segmenter : Segmenter
    """

    def __init__(self, conversations: Sequence[Conversation], segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.blocks: list[tuple[Array, sp.csr_matrix]] = []
        columns = side_columns(conversations)
        for column in columns:
            for grams in (char_grams(column, MAX_N), word_grams(column, segmenter)):
                # The end marks alone are no text: a side that says nothing has no grams.
                keys = vocabulary(grams, MIN_DF) if len(column.codes) > len(column) else np.zeros(0, np.uint64)
                self.blocks.append((keys, count_matrix(grams, keys)))

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
        for _, counts in self.blocks:
            own = counts[train]
            df = np.bincount(own.indices, minlength=counts.shape[1])
            keep = df >= MIN_DF
            idf = (np.log((1 + own.shape[0]) / (1 + df[keep])) + 1).astype(np.float32).astype(np.float64)
            for k, rows in enumerate((own, *(counts[t] for t in tests))):
                out[k].append(weigh(rows[:, keep].tocsr(), idf))
            kept.append(keep)
            idfs.append(idf)
        return [sp.hstack(blocks).tocsr() for blocks in out], np.concatenate(kept), idfs

    def compile(self, weights: Array, kept: Array, idfs: Sequence[Array]) -> TextHead:
        """Lay weights (n_kept, 3) into tables; they are rounded as they are saved."""
        bounds = np.cumsum([0, *(len(keys) for keys, _ in self.blocks)])
        at = 0
        tables: list[Any] = []
        for b, (keys, _) in enumerate(self.blocks):
            own = keys[kept[bounds[b] : bounds[b + 1]]]
            part = rounded(weights[at : at + len(own)])
            at += len(own)
            idf = idfs[b].astype(np.float32)
            tables.append(NgramTable(own, idf, part, MAX_N) if b % 2 == 0 else WordTable(own, idf, part))
        return TextHead((tables[0], tables[2]), (tables[1], tables[3]), self.segmenter)


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
    plain = _logistic(X, target, _PLAIN_C)
    there = sp.csr_matrix((np.ones(X.nnz), X.indices, X.indptr), shape=X.shape)
    with_it, without = (1 + np.asarray(there[rows].sum(axis=0)).ravel() for rows in (target, ~target))
    ratio = np.log((with_it / with_it.sum()) / (without / without.sum()))
    scaled = X.copy()
    scaled.data = X.data * ratio[X.indices]
    bayes = _logistic(scaled, target, _BAYES_C)
    return Linear(np.column_stack([plain[0], bayes[0] * ratio]), np.array([plain[1], bayes[1]]))


def _logistic(X: sp.csr_matrix, target: Array, C: float) -> tuple[Array, float]:
    if target.all() or not target.any() or not X.shape[1]:
        return np.zeros(X.shape[1]), 0.0
    from sklearn.linear_model import LogisticRegression  # scoring does without

    # The dual form: a dozen times faster than the primal on so many sparse features.
    model = LogisticRegression(C=C, solver="liblinear", dual=True, tol=0.02, random_state=0, max_iter=300)
    model.fit(X, target)
    return model.coef_[0], float(model.intercept_[0])
