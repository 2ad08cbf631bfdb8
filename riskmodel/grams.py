"""Characters and words of a column of texts as 64-bit keys, and the weights of several heads over them.

The value of gram j in a text is ``idf_j / sqrt(Σ idf_k²)``, over the grams that the text holds, however
often: over whole conversations and comments presence was worth more than counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .ngrams import units
from .normalize import NormalizedTexts
from .segment import Segmenter

__all__ = ["GramTable", "Grams", "char_grams", "find_rows", "vocabulary", "word_grams"]

Array = np.ndarray[Any, Any]

# Odd numbers, so that they have an inverse modulo 2^64.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


@dataclass(frozen=True, eq=False)
class Grams:
    """Every gram of a column.

    Attributes
    ----------
    keys : ndarray of uint64
    owner : ndarray of int64
        Which text the gram stands in.
    start, end : ndarray of int64
        Its characters in the column's `codes`; of a gram with an end mark, those within the text. Empty
        where nobody asked for them.
    n_texts : int
    """

    keys: Array
    owner: Array
    start: Array
    end: Array
    n_texts: int


def char_grams(column: NormalizedTexts, max_n: int) -> Grams:
    """Return the character n-grams between end marks, four 16-bit units to a key."""
    text, bounds = units(column)
    which = np.repeat(np.arange(len(column)), np.diff(bounds))
    keys, owners, starts, ends = [], [], [], []
    key = np.zeros(len(text), dtype=np.uint64)
    for n in range(1, max_n + 1):
        at = np.arange(len(text) - n + 1)
        if not len(at):
            break
        key = (key[: len(at)] << np.uint64(16)) | text[n - 1 :].astype(np.uint64)
        at = at[which[at] == which[n - 1 :]]
        keys.append(key[at])
        owners.append(which[at])
        # A text has one start mark more than the texts before it: unit u of text i is character u - i - 1.
        first = at - which[at] - 1
        starts.append(np.maximum(first, column.bounds[which[at]]))
        ends.append(np.minimum(first + n, column.bounds[which[at] + 1] - 1))
    return _joined(keys, owners, starts, ends, len(column))


def word_grams(column: NormalizedTexts, segmenter: Segmenter, window: int, *, spans: bool = False) -> tuple[Grams, Grams]:
    """Return words and pairs of neighbouring words, and words that stand near each other in any order.

    Keys are hashes of the words' characters.

    Parameters
    ----------
    window : int
        How many words apart "near" may be.
    spans : bool
        Give each near pair twice, with the place of either word; without it they have no places.
    """
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
    single = _hashed(column.codes, start, end)
    at = np.flatnonzero(owner[1:] == owner[:-1]) if len(owner) else np.zeros(0, np.int64)
    pairs = _mixed(single[at] * np.uint64(_INVERSE) ^ (single[at + 1] >> np.uint64(7)) ^ (single[at + 1] << np.uint64(57)))
    ordered = _joined([single, pairs], [owner, owner[at]], [start, start[at]], [end, end[at + 1]], len(column))
    keys, owners, starts, ends = [], [], [], []
    for d in range(2, min(window, len(owner) - 1) + 1):
        at = np.flatnonzero(owner[d:] == owner[:-d])
        low, high = np.minimum(single[at], single[at + d]), np.maximum(single[at], single[at + d])
        key = _mixed(low * np.uint64(3) ^ high)
        for place in (at, at + d) if spans else (at,):
            keys.append(key)
            owners.append(owner[at])
            starts.append(start[place] if spans else at[:0])
            ends.append(end[place] if spans else at[:0])
    return ordered, _joined(keys, owners, starts, ends, len(column))


def _joined(keys: list[Array], owners: list[Array], starts: list[Array], ends: list[Array], n: int) -> Grams:
    if not keys:
        nothing = np.zeros(0, dtype=np.int64)
        return Grams(nothing.astype(np.uint64), nothing, nothing, nothing, n)
    return Grams(np.concatenate(keys), np.concatenate(owners), np.concatenate(starts), np.concatenate(ends), n)


def _hashed(codes: Array, start: Array, end: Array) -> Array:
    """Return a polynomial of each span's characters modulo 2^64, by differences of one running sum."""
    n = len(codes)
    powers = np.ones(n + 1, dtype=np.uint64)
    powers[1:] = np.uint64(_BASE)
    inverse = np.ones(n + 1, dtype=np.uint64)
    inverse[1:] = np.uint64(_INVERSE)
    powers, inverse = np.cumprod(powers, dtype=np.uint64), np.cumprod(inverse, dtype=np.uint64)
    sums = np.zeros(n + 1, dtype=np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers[:n], out=sums[1:])
    return _mixed((sums[end] - sums[start]) * inverse[start])


def _mixed(key: Array) -> Array:
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed: Array = key ^ (key >> np.uint64(27))
    return mixed


def vocabulary(grams: Grams, min_df: int) -> Array:
    """Return the sorted keys that at least `min_df` texts hold."""
    order = np.lexsort((grams.owner, grams.keys))
    key, owner = grams.keys[order], grams.owner[order]
    first = np.ones(len(key), dtype=bool)
    first[1:] = (key[1:] != key[:-1]) | (owner[1:] != owner[:-1])
    keys, df = np.unique(key[first], return_counts=True)
    kept: Array = keys[df >= min_df]
    return kept


def find_rows(found: Array, keys: Array) -> Array:
    """Return where each key stands among the sorted `keys`, -1 where it does not."""
    if not len(keys):
        return np.full(len(found), -1)
    at = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
    return np.where(keys[at] == found, at, -1)


@dataclass(frozen=True, eq=False)
class GramTable:
    """The weights of several heads over one vocabulary.

    Attributes
    ----------
    keys : ndarray of uint64, sorted
    idf : ndarray of float32
    weights : ndarray of float32, shape (n_rows, n_heads)
    """

    keys: Array
    idf: Array
    weights: Array

    def project(self, grams: Grams) -> Array:
        """Return the scores of all heads, shape (n_texts, n_heads), without intercepts."""
        out = np.zeros((grams.n_texts, self.weights.shape[1]))
        row = find_rows(grams.keys, self.keys)
        known = row >= 0
        if not known.any():
            return out
        once = np.unique(grams.owner[known] * len(self.keys) + row[known])
        owner, row = np.divmod(once, len(self.keys))
        idf = self.idf[row].astype(np.float64)
        norm = np.sqrt(np.bincount(owner, idf * idf, minlength=grams.n_texts))
        for h in range(out.shape[1]):
            out[:, h] = np.bincount(owner, idf * self.weights[row, h], minlength=grams.n_texts)
        out /= np.maximum(norm, 1e-300)[:, None]
        return out

    def weigh_characters(self, grams: Grams, n_characters: int, head: int) -> Array:
        """Return what each character of a column of one text adds to a head's score; the sum is the score.

        A gram's part is shared equally among the places where it stands and their characters.
        """
        out = np.zeros(n_characters)
        row = find_rows(grams.keys, self.keys)
        times = np.bincount(row[row >= 0], minlength=len(self.keys))
        idf = self.idf.astype(np.float64)
        norm = np.sqrt((idf[times > 0] ** 2).sum())
        for r, start, end in zip(row.tolist(), grams.start.tolist(), grams.end.tolist(), strict=True):
            if r >= 0 and n_characters:
                # A mark alone stands beside the text; its weight goes to the nearest character.
                start, end = (start, end) if end > start else (min(start, n_characters - 1), min(start, n_characters - 1) + 1)
                out[start:end] += idf[r] * float(self.weights[r, head]) / norm / times[r] / (end - start)
        return out
