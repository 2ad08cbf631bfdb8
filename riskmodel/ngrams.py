"""Character n-grams of a column of texts, counted and weighed in one compiled pass.

`NgramVectorizer` is the scikit-learn form: it learns a vocabulary and gives a sparse matrix.
`NgramTable` is the compiled form: the weights of many linear heads laid into one hash table, which
gives the same numbers without building any matrix.

A text is read between two end marks. The value of n-gram j in a text is
``count_j · idf_j / sqrt(Σ count_k · idf_k²)``: like TF-IDF with the L2 norm, but the norm adds up over
occurrences, so that one pass is enough.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .normalize import NormalizedTexts, normalize_many

__all__ = ["MAX_N", "NgramTable", "NgramVectorizer", "ngram_text", "rounded", "units"]

MAX_N = 4  # four UTF-16 units fill a 64-bit key
_START, _END = 2, 3
Array = np.ndarray[Any, Any]


def units(column: NormalizedTexts) -> tuple[Array, Array]:
    """Return the column as 16-bit units with end marks around each text, and the bounds.

    Characters beyond the basic plane (mostly emoji) fall onto 2,048 private units.
    """
    codes = column.codes
    n = len(column)
    narrow = np.where(codes > 0xFFFF, 0xE000 + (codes & 0x7FF), codes).astype(np.uint16)
    out = np.empty(len(codes) + n, dtype=np.uint16)
    bounds = column.bounds + np.arange(n + 1)
    is_start = np.zeros(len(out), dtype=bool)
    is_start[bounds[:-1]] = True
    out[~is_start] = narrow
    out[is_start] = _START
    out[bounds[1:] - 1] = _END  # where the column's separators stood
    return out, bounds


@numba.njit(cache=True, nogil=True)
def _slot(key: Any, mask: int) -> Any:
    h = key * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(29)
    return np.int64(h & np.uint64(mask))


@numba.njit(cache=True, nogil=True)
def _fill(keys: Array, slot_keys: Array, slot_rows: Array, mask: int) -> None:
    for row in range(len(keys)):
        at = _slot(keys[row], mask)
        while slot_rows[at] >= 0:
            at = (at + 1) & mask
        slot_keys[at] = keys[row]
        slot_rows[at] = row


@numba.njit(cache=True, nogil=True)
def _find(key: Any, slot_keys: Array, slot_rows: Array, mask: int) -> Any:
    at = _slot(key, mask)
    while slot_keys[at] != key:
        if slot_rows[at] < 0:
            return -1
        at = (at + 1) & mask
    return slot_rows[at]


@numba.njit(cache=True, nogil=True)
def _lookup(text: Array, bounds: Array, max_n: int, slot_keys: Array, slot_rows: Array, mask: int, out: Array, ends: Array) -> None:
    at = 0
    for i in range(len(bounds) - 1):
        for start in range(bounds[i], bounds[i + 1]):
            key = np.uint64(0)
            for n in range(1, min(max_n, bounds[i + 1] - start) + 1):
                key = (key << np.uint64(16)) | np.uint64(text[start + n - 1])
                row = _find(key, slot_keys, slot_rows, mask)
                if row < 0:  # then no longer n-gram that starts like it is known either
                    break
                out[at] = row
                at += 1
        ends[i + 1] = at


@numba.njit(cache=True, nogil=True, fastmath=True)
def _project(
    text: Array, bounds: Array, max_n: int, slot_keys: Array, slot_rows: Array, mask: int,
    idf: Array, weights: Array, out: Array,
) -> None:  # fmt: skip
    heads = weights.shape[1]
    for i in range(len(bounds) - 1):
        norm = 0.0
        total = np.zeros(heads, dtype=np.float64)
        for start in range(bounds[i], bounds[i + 1]):
            key = np.uint64(0)
            for n in range(1, min(max_n, bounds[i + 1] - start) + 1):
                key = (key << np.uint64(16)) | np.uint64(text[start + n - 1])
                row = _find(key, slot_keys, slot_rows, mask)
                if row < 0:
                    break
                weight = np.float64(idf[row])
                norm += weight * weight
                for h in range(heads):
                    total[h] += weight * weights[row, h]
        if norm > 0:
            norm = 1 / np.sqrt(norm)
            for h in range(heads):
                out[i, h] = total[h] * norm


@numba.njit(cache=True, nogil=True)
def _weigh_characters(
    text: Array, max_n: int, slot_keys: Array, slot_rows: Array, mask: int, idf: Array, weights: Array, head: int, out: Array
) -> None:
    norm = 0.0
    for start in range(len(text)):
        key = np.uint64(0)
        for n in range(1, min(max_n, len(text) - start) + 1):
            key = (key << np.uint64(16)) | np.uint64(text[start + n - 1])
            row = _find(key, slot_keys, slot_rows, mask)
            if row < 0:
                break
            weight = np.float64(idf[row])
            norm += weight * weight
            share = weight * weights[row, head] / n
            for k in range(n):
                out[start + k] += share
    if norm > 0:
        for k in range(len(out)):
            out[k] /= np.sqrt(norm)


def _index(keys: Array) -> tuple[Array, Array, int]:
    size = 16
    while size < 2 * len(keys):
        size *= 2
    slot_keys = np.zeros(size, dtype=np.uint64)
    slot_rows = np.full(size, -1, dtype=np.int32)
    _fill(keys, slot_keys, slot_rows, size - 1)
    return slot_keys, slot_rows, size - 1


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
        slot_keys, slot_rows, mask = _index(self.keys_)
        found = np.empty(len(text) * self.max_n, dtype=np.int32)
        ends = np.zeros(len(bounds), dtype=np.int64)
        _lookup(text, bounds, self.max_n, slot_keys, slot_rows, mask, found, ends)
        found = found[: ends[-1]]
        matrix = sp.csr_matrix((np.ones(len(found)), found, ends), shape=(len(bounds) - 1, len(self.keys_)))
        matrix.sum_duplicates()
        idf = self.idf_.astype(np.float64)
        norm = matrix @ (idf * idf)
        matrix.data *= idf[matrix.indices]
        matrix.data *= np.repeat(1 / np.sqrt(np.maximum(norm, 1e-300)), np.diff(matrix.indptr))
        return matrix

    def get_feature_names_out(self, input_features: object = None) -> Array:
        """Return the n-grams as text; ␂ and ␃ stand for the text's ends."""
        check_is_fitted(self)
        return np.array([ngram_text(int(k)) for k in self.keys_], dtype=object)


class NgramTable:
    """The weights of many heads over one vocabulary, compiled.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_rows,)
    idf : ndarray of float32, shape (n_rows,)
    weights : ndarray of float32, shape (n_rows, n_heads)
        ``weights[r, h]`` is the coefficient of n-gram ``r`` for head ``h``.
    max_n : int
    """

    def __init__(self, keys: Array, idf: Array, weights: Array, max_n: int) -> None:
        self.keys, self.idf, self.max_n = keys, idf, max_n
        self.weights = np.ascontiguousarray(weights, dtype=np.float32)
        self._index = _index(keys)

    @property
    def n_heads(self) -> int:
        return int(self.weights.shape[1])

    def project(self, column: NormalizedTexts) -> Array:
        """Return the scores of all heads, shape (n_texts, n_heads), without intercepts."""
        text, bounds = units(column)
        out = np.zeros((len(bounds) - 1, self.n_heads))
        _project(text, bounds, self.max_n, *self._index, self.idf, self.weights, out)
        return out

    def weigh_characters(self, column: NormalizedTexts, i: int, head: int) -> Array:
        """Return what each character of text `i` adds to a head's score; the sum is the score.

        An n-gram's contribution is shared equally among its characters; what the end marks carry
        goes to the first and the last character.
        """
        text, bounds = units(column)
        part = text[bounds[i] : bounds[i + 1]]
        out = np.zeros(len(part))
        _weigh_characters(
            part, self.max_n, *self._index, self.idf, self.weights, head, out
        )
        if len(part) == 2:
            return np.zeros(0)
        inner = out[1:-1].copy()
        inner[0] += out[0]
        inner[-1] += out[-1]
        return inner

    def __reduce__(self) -> tuple[object, ...]:
        return (NgramTable, (self.keys, self.idf, self.weights, self.max_n))


def rounded(coefficients: Array) -> Array:
    """Return coefficients as they are saved, in half precision.

    Both the scikit-learn form and the compiled form of a model use the rounded ones, so that what
    is saved is exactly what was measured.
    """
    return coefficients.astype(np.float16).astype(np.float32)


def ngram_text(key: int) -> str:
    """Return the n-gram that a key stands for."""
    chars = []
    while key:
        unit = key & 0xFFFF
        chars.append("␂" if unit == _START else "␃" if unit == _END else chr(unit))
        key >>= 16
    return "".join(reversed(chars))


def _column(X: list[str] | NormalizedTexts) -> NormalizedTexts:
    return X if isinstance(X, NormalizedTexts) else normalize_many(X)
