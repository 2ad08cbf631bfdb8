"""Words and pairs of words of a column of texts as 64-bit keys, and counts of keys as a matrix.

Character n-grams have keys of their own (`ngrams`). What both share is the weighing: the value of
gram j in a text is ``count_j · idf_j / sqrt(Σ count_k · idf_k²)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp

from .ngrams import units
from .normalize import NormalizedTexts
from .segment import Segmenter

__all__ = ["Grams", "WordTable", "char_grams", "count_matrix", "vocabulary", "weigh", "word_grams"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Grams:
    """Every gram of a column, text by text.

    Attributes
    ----------
    keys : ndarray of uint64
    owner : ndarray of int64
        Which text the gram stands in.
    start, end : ndarray of int64 or None
        Its characters in the column's `codes`.
    n_texts : int
    """

    keys: Array
    owner: Array
    start: Array | None
    end: Array | None
    n_texts: int


def char_grams(column: NormalizedTexts, max_n: int) -> Grams:
    """Return the character n-grams with the keys of `NgramTable`."""
    text, bounds = units(column)
    keys, owners = [], []
    which = np.repeat(np.arange(len(column)), np.diff(bounds))
    for n in range(1, max_n + 1):
        if len(text) < n:
            break
        key = np.zeros(len(text) - n + 1, dtype=np.uint64)
        for k in range(n):
            key = (key << np.uint64(16)) | text[k : len(text) - n + 1 + k].astype(np.uint64)
        owner = which[: len(key)]
        inside = owner == which[n - 1 :]
        keys.append(key[inside])
        owners.append(owner[inside])
    if not keys:
        return Grams(np.zeros(0, np.uint64), np.zeros(0, np.int64), None, None, len(column))
    return Grams(np.concatenate(keys), np.concatenate(owners), None, None, len(column))


def word_grams(column: NormalizedTexts, segmenter: Segmenter) -> Grams:
    """Return the words and the pairs of neighbouring words, keyed by a hash of their characters."""
    lengths: list[int] = []
    counts = np.zeros(len(column), dtype=np.int64)
    for i, text in enumerate(column.texts()):
        words = segmenter.cut(text) if text else []
        counts[i] = len(words)
        lengths.extend(map(len, words))
    size = np.array(lengths, dtype=np.int64)
    owner = np.repeat(np.arange(len(column)), counts)
    # A line feed stands after every text: each text's words begin one character later than they add up.
    end = np.cumsum(size) + owner
    start = end - size
    single = np.zeros(len(size), dtype=np.uint64)
    pairs = np.zeros(max(len(size) - 1, 0), dtype=np.uint64)
    _hash(np.ascontiguousarray(column.codes), start, end, single, pairs)
    near = np.flatnonzero(owner[1:] == owner[:-1]) if len(owner) else np.zeros(0, np.int64)
    return Grams(
        np.concatenate([single, pairs[near]]),
        np.concatenate([owner, owner[near]]),
        np.concatenate([start, start[near]]),
        np.concatenate([end, end[near + 1]]),
        len(column),
    )


@numba.njit(cache=True, nogil=True)
def _hash(codes: Array, start: Array, end: Array, single: Array, pairs: Array) -> None:
    prime = np.uint64(0x100000001B3)
    for w in range(len(start)):
        h = np.uint64(0xCBF29CE484222325)
        for k in range(start[w], end[w]):
            h = (h ^ np.uint64(codes[k])) * prime
        single[w] = h
        if w:
            pair = (single[w - 1] ^ (h >> np.uint64(32)) ^ (h << np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
            pairs[w - 1] = pair ^ (pair >> np.uint64(29))


def vocabulary(grams: Grams, min_df: int) -> Array:
    """Return the sorted keys that at least `min_df` texts hold."""
    order = np.lexsort((grams.owner, grams.keys))
    key, owner = grams.keys[order], grams.owner[order]
    first = np.ones(len(key), dtype=bool)
    first[1:] = (key[1:] != key[:-1]) | (owner[1:] != owner[:-1])
    keys, df = np.unique(key[first], return_counts=True)
    kept: Array = keys[df >= min_df]
    return kept


def count_matrix(grams: Grams, keys: Array) -> sp.csr_matrix:
    """Return how often each text holds each of the sorted `keys`."""
    row = _rows(grams.keys, keys)
    known = row >= 0
    matrix = sp.csr_matrix((np.ones(int(known.sum())), (grams.owner[known], row[known])), shape=(grams.n_texts, len(keys)))
    matrix.sort_indices()
    return matrix


def weigh(counts: sp.csr_matrix, idf: Array) -> sp.csr_matrix:
    """Return counts weighed and scaled, row by row."""
    norm = counts @ (idf * idf)
    out = counts.copy()
    out.data = counts.data * idf[counts.indices] * np.repeat(1 / np.sqrt(np.maximum(norm, 1e-300)), np.diff(counts.indptr))
    return out


def _rows(found: Array, keys: Array) -> Array:
    if not len(keys):
        return np.full(len(found), -1)
    at = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
    return np.where(keys[at] == found, at, -1)


@dataclass(frozen=True, eq=False)
class WordTable:
    """The weights of several heads over one vocabulary of words and pairs of words.

    Attributes
    ----------
    keys : ndarray of uint64, sorted
    idf : ndarray of float32
    weights : ndarray of float32, shape (n_rows, n_heads)
    """

    keys: Array
    idf: Array
    weights: Array

    def project(self, column: NormalizedTexts, segmenter: Segmenter) -> Array:
        """Return the scores of all heads, shape (n_texts, n_heads), without intercepts."""
        if not len(self.keys):
            return np.zeros((len(column), self.weights.shape[1]))
        counts = count_matrix(word_grams(column, segmenter), self.keys)
        scores: Array = weigh(counts, self.idf.astype(np.float64)) @ self.weights.astype(np.float64)
        return scores

    def weigh_characters(self, column: NormalizedTexts, segmenter: Segmenter, head: int) -> Array:
        """Return what each character of a column of one text adds to a head's score."""
        out = np.zeros(len(column.codes) - 1)
        grams = word_grams(column, segmenter)
        row = _rows(grams.keys, self.keys)
        assert grams.start is not None
        assert grams.end is not None
        norm = 0.0
        for r, start, end in zip(row.tolist(), grams.start.tolist(), grams.end.tolist(), strict=True):
            if r >= 0:
                idf = float(self.idf[r])
                norm += idf * idf
                out[start:end] += idf * float(self.weights[r, head]) / (end - start)
        return out / np.sqrt(norm) if norm else out
