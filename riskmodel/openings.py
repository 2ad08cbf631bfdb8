"""Which expressions are worth trying in which texts: those whose gates all stand open.

A gate is a group of words of which every match of the expression holds one. For all texts and all
expressions at once this is a matter of bits: one row of bits a gate, one bit a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .trie import expanded

__all__ = ["Openings"]

Array = np.ndarray[Any, Any]

_FEW = 24  # texts that are faster looked at one by one
_BLOCK = 8_192  # texts looked at together: the rows of bits stay in the processor's cache


class Openings:
    """The gates of a list of expressions.

    Parameters
    ----------
    gates : sequence of groups of words, one entry an expression
    number : mapping
        The number under which each word is found.
    heard_by : ndarray of uint8
        Who can say what each expression looks for, as bits.
    """

    def __init__(self, gates: Sequence[Sequence[Sequence[str]]], number: Mapping[str, int], heard_by: Array) -> None:
        groups: dict[Sequence[str], int] = {}
        for own in gates:
            for group in own:
                groups.setdefault(group, len(groups))
        self._n = len(groups)
        most = max(map(len, gates), default=0)
        # Expressions with fewer gates than others have the last one, which is always open.
        self._gates = np.full((len(gates), most), self._n, dtype=np.int64)
        for p, own in enumerate(gates):
            self._gates[p, : len(own)] = [groups[group] for group in own]
        self._heard_by = heard_by
        sizes = np.fromiter(map(len, groups), dtype=np.int64, count=self._n)
        word = np.fromiter((number[w] for group in groups for w in group), dtype=np.int64, count=int(sizes.sum()))
        order = np.argsort(word, kind="stable")
        self._bounds = np.searchsorted(word[order], np.arange(len(number) + 1))
        self._group = np.repeat(np.arange(self._n), sizes)[order]
        # The same as lists, for a few texts: gates of each expression, and expressions by their first gate.
        self._own = [[groups[group] for group in own] for own in gates]
        self._led: dict[int, list[int]] = {}
        for p, numbers in enumerate(self._own):
            self._led.setdefault(numbers[0] if numbers else self._n, []).append(p)
        self._heard = heard_by.tolist()
        self._bounds_view, self._group_view = self._bounds.data, self._group.data

    def of(self, word: Array, text: Array, sides: Array) -> Iterator[tuple[int, list[int]]]:
        """Yield each expression with the texts in which it is worth trying.

        Parameters
        ----------
        word, text : ndarray
            The words found, and in which text.
        sides : ndarray of uint8, shape (n_texts,)
            Who says each text, as bits.
        """
        if not len(self._gates):
            return
        if len(sides) <= _FEW:
            yield from self._of_few(word, text, sides)
            return
        for first in range(0, len(sides), _BLOCK):
            last = min(first + _BLOCK, len(sides))
            mine = slice(None) if last - first == len(sides) else (text >= first) & (text < last)
            yield from self._of_block(word[mine], text[mine] - first, sides[first:last], first)

    def _of_few(self, word: Array, text: Array, sides: Array) -> Iterator[tuple[int, list[int]]]:
        bounds, group, heard, own = self._bounds_view, self._group_view, self._heard, self._own
        stands = {self._n: (1 << len(sides)) - 1}  # group to texts, as bits
        for w, t in zip(word.tolist(), text.tolist(), strict=True):
            for g in group[bounds[w] : bounds[w + 1]]:
                stands[g] = stands.get(g, 0) | 1 << t
        says = [sum(1 << t for t, side in enumerate(sides.tolist()) if side & who) for who in range(8)]
        for g, texts in stands.items():
            for pattern in self._led.get(g, ()):
                opened = texts & says[heard[pattern]]
                for gate in own[pattern][1:]:
                    if not opened:
                        break
                    opened &= stands.get(gate, 0)
                if opened:
                    yield pattern, [t for t in range(len(sides)) if opened >> t & 1]

    def _of_block(self, word: Array, text: Array, sides: Array, first: int) -> Iterator[tuple[int, list[int]]]:
        opened = _rows(self._heard_by, sides)
        stands = self._stands(word, text, opened.shape[1])
        for gate in self._gates.T:
            opened &= stands[gate]
        pattern, byte = np.nonzero(opened)
        part, bit = np.nonzero(np.unpackbits(opened[pattern, byte][:, None], axis=1))
        pattern, at = pattern[part], byte[part] * 8 + bit + first
        edges = np.flatnonzero(np.diff(pattern, prepend=-1, append=-1)).tolist()
        names, texts = pattern[edges[:-1]].tolist(), at.tolist()
        for name, a, b in zip(names, edges[:-1], edges[1:], strict=True):
            yield name, texts[a:b]

    def _stands(self, word: Array, text: Array, n_bytes: int) -> Array:
        """Return a row of bits for each group: which texts hold a word of it; the last row is full."""
        seen = np.zeros(len(self._bounds) - 1, dtype=bool)
        seen[word] = True
        words = np.flatnonzero(seen)
        place = np.zeros(len(seen), dtype=np.int64)
        place[words] = np.arange(len(words))
        rows = np.zeros((len(words), n_bytes), dtype=np.uint8)
        bit = np.uint8(128) >> (text & 7).astype(np.uint8)
        np.bitwise_or.at(rows.ravel(), place[word] * n_bytes + (text >> 3), bit)
        which, entry = expanded(self._bounds[words], self._bounds[words + 1])
        stands = np.zeros((self._n + 1, n_bytes), dtype=np.uint8)
        stands[-1] = 0xFF
        # In layers: the first word found of every group, then the second of those with two, and so on.
        order = np.argsort(self._group[entry], kind="stable")
        group = self._group[entry][order]
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        sizes = np.diff(np.append(starts, len(group)))
        largest = np.argsort(-sizes, kind="stable")
        layers = np.bincount(np.minimum(sizes, len(group)), minlength=1)[::-1].cumsum()[::-1][1:]
        firsts = starts[largest]
        sums = np.zeros((len(starts), n_bytes // 8), dtype=np.uint64)
        wide = rows.view(np.uint64)
        source = which[order]
        for k, n in enumerate(layers.tolist()):
            sums[:n] |= wide[source[firsts[:n] + k]]
        stands.view(np.uint64)[group[firsts]] = sums
        return stands


def _rows(heard_by: Array, sides: Array) -> Array:
    """Return a row of bits for each expression: which texts somebody says that it is for."""
    heard = np.zeros((8, -(-len(sides) // 64) * 64), dtype=bool)
    heard[:, : len(sides)] = (sides & np.arange(8, dtype=np.uint8)[:, None]) > 0
    rows: Array = np.packbits(heard, axis=1)[heard_by]
    return rows
