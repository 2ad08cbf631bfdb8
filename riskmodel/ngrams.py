"""Character n-grams of a column of texts, found and weighed in a few passes over arrays.

`NgramTable` holds the weights of many linear heads over one vocabulary and gives their scores without
building a matrix; `riskmodel.vectorizer` is the scikit-learn form that learns the vocabulary.

A text is read between two end marks. The value of n-gram j in a text is
``count_j · idf_j / sqrt(Σ count_k · idf_k²)``: like TF-IDF with the L2 norm, but the norm adds up over
occurrences, so that one pass is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .normalize import NormalizedTexts
from .trie import FEW, Trie

__all__ = ["MAX_N", "NgramTable", "ngram_text", "rounded", "units"]

MAX_N = 4  # four UTF-16 units fill a 64-bit key
_START, _END = 2, 3
_BLOCK = 4_096  # n-grams whose weights are added up at once: they stay in the processor's cache
Array = np.ndarray[Any, Any]


def units(column: NormalizedTexts) -> tuple[Array, Array]:
    """Return the column as 16-bit units with end marks around each text, and the bounds.

    Characters beyond the basic plane (mostly emoji) fall onto 2,048 private units.
    """
    codes = column.codes
    n = len(column)
    narrow = codes.astype(np.uint16)
    wide = np.flatnonzero(codes > 0xFFFF)
    narrow[wide] = 0xE000 + (codes[wide] & 0x7FF)
    bounds = column.bounds + np.arange(n + 1)
    out = np.empty(len(codes) + n, dtype=np.uint16)
    inner = np.ones(len(out), dtype=bool)
    inner[bounds[:-1]] = False
    out[inner] = narrow
    out[bounds[:-1]] = _START
    out[bounds[1:] - 1] = _END  # where the column's separators stood
    return out, bounds


class NgramTable:
    """The weights of many heads over one vocabulary, compiled.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_rows,)
        Distinct n-grams, 16 bits a character. With an n-gram its beginnings must be there too; one
        without them is never found.
    idf : ndarray of float32, shape (n_rows,)
    weights : ndarray of float16 or float32, shape (n_rows, n_heads)
        ``weights[r, h]`` is the coefficient of n-gram ``r`` for head ``h``.
    max_n : int
    """

    def __init__(self, keys: Array, idf: Array, weights: Array, max_n: int) -> None:
        self.keys, self.idf, self.weights, self.max_n = keys, idf, weights, max_n
        # Frequent n-grams (small idf) stand together, so that most of what a text needs is in the cache.
        order = np.argsort(idf, kind="stable")
        node = np.empty(len(keys), dtype=np.int64)
        node[order] = np.arange(1, len(keys) + 1)
        self._trie = Trie(_parents(keys, node)[order], (keys & np.uint64(0xFFFF)).astype(np.int64)[order])
        self._idf = np.concatenate([[0.0], idf[order].astype(np.float64)])
        self._square = self._idf * self._idf
        # The products are exact: 24 bits times 11.
        self._scaled = np.zeros((len(keys) + 1, weights.shape[1]))
        np.multiply(weights[order], self._idf[1:, None], out=self._scaled[1:])

    @property
    def n_heads(self) -> int:
        return int(self.weights.shape[1])

    def _nodes(self, text: Array) -> Array:
        """Return the node of the n-gram of each length at each place, shape (n_units, max_n); 0 for none."""
        symbols = self._trie.symbols(text)
        nodes = np.zeros((len(text), self.max_n), dtype=np.int64)
        nodes[:, 0] = here = self._trie.first(symbols)
        places = np.flatnonzero(here)
        here = here[places]
        for n in range(1, self.max_n):
            if len(places) and places[-1] + n >= len(text):
                places, here = places[places + n < len(text)], here[places + n < len(text)]
            here = self._trie.step(here, symbols[places + n])
            kept = np.flatnonzero(here)
            places, here = places[kept], here[kept]
            nodes[places, n] = here
        return nodes

    def _many_nodes(self, column: NormalizedTexts) -> tuple[Array, Array]:
        """Return the nodes of all n-grams found, place by place, and where those of each text begin."""
        text, bounds = units(column)
        nodes = self._nodes(text).ravel()
        found = nodes > 0
        return nodes[found], np.concatenate([[0], np.cumsum(found)])[bounds * self.max_n]

    def _few_nodes(self, column: NormalizedTexts) -> tuple[Array, Array]:
        nodes: list[int] = []
        at = [0]
        bounds = column.bounds.tolist()
        codes = [c if c <= 0xFFFF else 0xE000 + (c & 0x7FF) for c in column.codes.tolist()]
        for a, b in pairwise(bounds):
            for path in self._trie.paths([_START, *codes[a : b - 1], _END]):
                nodes.extend(path)
            at.append(len(nodes))
        return np.array(nodes, dtype=np.int64), np.array(at)

    def project(self, column: NormalizedTexts) -> Array:
        """Return the scores of all heads, shape (n_texts, n_heads), without intercepts."""
        nodes, at = self._few_nodes(column) if len(column.codes) <= FEW else self._many_nodes(column)
        out = np.zeros((len(column), self.n_heads))
        filled = np.flatnonzero(at[1:] > at[:-1])
        if not len(filled):
            return out
        starts = at[filled]
        sums = np.empty((len(filled), self.n_heads))
        ends = np.append(starts[1:], len(nodes))
        i = 0
        while i < len(filled):
            first = int(starts[i])
            j = max(i + 1, int(np.searchsorted(ends, first + _BLOCK, side="right")))
            taken = self._scaled.take(nodes[first : int(ends[j - 1])], axis=0)
            np.add.reduceat(taken, starts[i:j] - first, axis=0, out=sums[i:j])
            i = j
        norm = np.add.reduceat(self._square.take(nodes), starts)
        out[filled] = sums * (1 / np.sqrt(norm))[:, None]
        return out

    def weigh_characters(self, column: NormalizedTexts, i: int, head: int) -> Array:
        """Return what each character of text `i` adds to a head's score; the sum is the score.

        An n-gram's contribution is shared equally among its characters; what the end marks carry
        goes to the first and the last character.
        """
        return self.weigh_many(column.take(np.array([i])), [head])[0]

    def weigh_many(self, column: NormalizedTexts, heads: Sequence[int]) -> list[Array]:
        """Return `weigh_characters` of each text for the head of the same place in `heads`."""
        text, bounds = units(column)
        nodes = self._nodes(text)
        sizes = np.diff(bounds)
        head = np.repeat(np.asarray(heads, dtype=np.int64), sizes)
        weights = np.zeros(len(text))
        for n in range(self.max_n):
            share = self._scaled[nodes[:, n], head] / (n + 1)
            for k in range(n + 1):
                weights[k:] += share[: len(share) - k]
        norm = np.add.reduceat(self._square.take(nodes).sum(axis=1), bounds[:-1])
        weights /= np.repeat(np.sqrt(np.where(norm > 0, norm, 1.0)), sizes)
        out = []
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            inner = weights[a + 1 : b - 1].copy()
            if len(inner):
                inner[0] += weights[a]
                inner[-1] += weights[b - 1]
            out.append(inner)
        return out

    def __reduce__(self) -> tuple[object, ...]:
        return (NgramTable, (self.keys, self.idf, self.weights, self.max_n))


def _parents(keys: Array, node: Array) -> Array:
    """Return the node of each key without its last character; its own where there is none."""
    by_key = np.arange(len(keys)) if (keys[1:] > keys[:-1]).all() else np.argsort(keys)
    sorted_keys = keys[by_key]
    prefix = keys >> np.uint64(16)
    at = np.minimum(np.searchsorted(sorted_keys, prefix), max(len(keys) - 1, 0))
    known = sorted_keys[at] == prefix
    parents: Array = np.where(prefix == 0, 0, np.where(known, node[by_key[at]], node))
    return parents


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
