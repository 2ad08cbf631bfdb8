"""Words found in a column of characters, all places at once.

A trie whose steps from node to node stand in one hash table. Every place of the column takes its next
step in the same few array operations, so that finding a hundred thousand words costs about as much as
reading the text a few times, and what is found comes as columns, not as objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["FEW", "Trie", "WordFinder", "expanded"]

Array = np.ndarray[Any, Any]

_MIX = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1
_NOTHING = np.zeros(0, dtype=np.int64)
FEW = 400  # up to so many characters, going one by one is faster than a few passes over arrays


class Trie:
    """Steps from a node and a symbol to the next node; node 0 is where every word begins.

    Parameters
    ----------
    parents, symbols : ndarray of int64, shape (n_nodes,)
        Node ``i + 1`` is reached from ``parents[i]`` by ``symbols[i]``.
    """

    def __init__(self, parents: Array, symbols: Array) -> None:
        self.n_nodes = n = len(parents) + 1
        self._top = int(symbols.max(initial=0)) + 1  # stands for all larger symbols: no word has it
        # An entry of the table is node, symbol and next node in one number.
        self._width = self._top.bit_length()
        self._bits = (63 - self._width) // 2
        self._mask = (1 << self._bits) - 1
        if n > self._mask:
            raise ValueError(f"{n} nodes; expected at most {self._mask}")
        first = np.flatnonzero(parents == 0)
        self._first = np.zeros(self._top + 1, dtype=np.int64)
        self._first[symbols[first]] = first + 1
        rest = np.flatnonzero(parents)
        size = 1 << max(4, (8 * len(rest)).bit_length() - 1)  # mostly empty: few steps look twice
        self._shift = 64 - (size.bit_length() - 1)
        self._last = size - 1
        self._table = np.zeros(size, dtype=np.int64)
        keys = (parents[rest] << self._width) | symbols[rest]
        self._fill(keys, (keys << self._bits) | (rest + 1))
        self._first_view, self._table_view = _view(self._first), _view(self._table)

    def _fill(self, keys: Array, entries: Array) -> None:
        slot = self._slots(keys)
        pending = np.arange(len(keys))
        while len(pending):
            free = pending[self._table[slot[pending]] == 0]
            self._table[slot[free]] = entries[free]  # of several for one slot the last one stays
            pending = pending[self._table[slot[pending]] != entries[pending]]
            slot[pending] = (slot[pending] + 1) & self._last

    def _slots(self, keys: Array) -> Array:
        slots: Array = ((keys.view(np.uint64) * np.uint64(_MIX)) >> np.uint64(self._shift)).view(np.int64)
        return slots

    def symbols(self, codes: Array) -> Array:
        """Return characters as symbols for `first` and `step`."""
        symbols: Array = np.minimum(codes, self._top).astype(np.int64)
        return symbols

    def first(self, symbols: Array) -> Array:
        """Return the nodes of words that begin with the symbols; 0 where none does."""
        nodes: Array = self._first.take(symbols)
        return nodes

    def step(self, nodes: Array, symbols: Array) -> Array:
        """Return the next nodes; 0 where no word goes on."""
        keys = (nodes << self._width) | symbols
        slot = self._slots(keys)
        entry = self._table.take(slot)
        out = entry & self._mask
        wrong = np.flatnonzero((entry >> self._bits) != keys)
        out[wrong] = 0
        wrong = wrong[entry[wrong] != 0]
        slot = slot[wrong]
        while len(wrong):
            slot = (slot + 1) & self._last
            entry = self._table.take(slot)
            own = (entry >> self._bits) == keys[wrong]
            out[wrong[own]] = entry[own] & self._mask
            on = ~own & (entry != 0)
            wrong, slot = wrong[on], slot[on]
        return out

    def paths(self, codes: Sequence[int]) -> Iterator[list[int]]:
        """Yield for each place the nodes that it leads to, one by one: `first` and `step` for short texts."""
        top, width, bits, mask = self._top, self._width, self._bits, self._mask
        first, table, shift, last = self._first_view, self._table_view, self._shift, self._last
        symbols = [code if code < top else top for code in codes]
        n = len(symbols)
        for i in range(n):
            path: list[int] = []
            node = first[symbols[i]]
            while node:
                path.append(node)
                i += 1
                if i == n:
                    break
                key = (node << width) | symbols[i]
                slot = (key * _MIX & _WORD) >> shift
                entry = table[slot]
                while entry and entry >> bits != key:
                    slot = (slot + 1) & last
                    entry = table[slot]
                node = entry & mask
            yield path


class WordFinder:
    """Where listed words stand in a column of characters, overlapping ones too.

    Parameters
    ----------
    words : sequence of str
        Distinct and not empty; word ``i`` is found as number ``i``.
    """

    def __init__(self, words: Sequence[str]) -> None:
        lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        codes = np.frombuffer("".join(words).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        parents: list[Array] = []
        symbols: list[Array] = []
        place: list[Array] = []
        number: list[Array] = []
        node = np.zeros(len(words), dtype=np.int64)
        going = np.flatnonzero(lengths > 0)
        count = depth = 0
        while len(going):
            step = (node[going] << 21) | codes[starts[going] + depth]
            distinct, which = np.unique(step, return_inverse=True)
            parents.append(distinct >> 21)
            symbols.append(distinct & 0x1FFFFF)
            node[going] = count + 1 + which
            count += len(distinct)
            depth += 1
            over = lengths[going] == depth
            place.append(node[going[over]])
            number.append(going[over])
            going = going[~over]
        self._trie = Trie(*(np.concatenate(x) if x else np.zeros(0, np.int64) for x in (parents, symbols)))
        self._word = np.full(count + 1, -1, dtype=np.int64)
        if place:
            self._word[np.concatenate(place)] = np.concatenate(number)
        self._word_view = _view(self._word)

    def find(self, codes: Array) -> tuple[Array, Array, Array]:
        """Return number, start and end of every word found."""
        if len(codes) <= FEW:
            return self._find_one_by_one(codes)
        symbols = self._trie.symbols(codes)
        nodes = self._trie.first(symbols)
        places = np.flatnonzero(nodes)
        nodes = nodes[places]
        found: list[tuple[Array, Array, Array]] = []
        length = 1
        while len(places):
            words = self._word[nodes]
            ends_here = np.flatnonzero(words >= 0)
            if len(ends_here):
                starts = places[ends_here]
                found.append((words[ends_here], starts, starts + length))
            if places[-1] + length >= len(codes):
                inside = places + length < len(codes)
                places, nodes = places[inside], nodes[inside]
            nodes = self._trie.step(nodes, symbols[places + length])
            kept = np.flatnonzero(nodes)
            places, nodes = places[kept], nodes[kept]
            length += 1
        if not found:
            return _NOTHING, _NOTHING, _NOTHING
        word, start, end = (np.concatenate(column) for column in zip(*found, strict=True))
        return word, start, end

    def _find_one_by_one(self, codes: Array) -> tuple[Array, Array, Array]:
        if not self._trie.first(self._trie.symbols(codes)).any():
            return _NOTHING, _NOTHING, _NOTHING
        number = self._word_view
        found = [
            (word, start, end)
            for start, path in enumerate(self._trie.paths(codes.tolist()))
            for end, node in enumerate(path, start + 1)
            if (word := number[node]) >= 0
        ]
        table = np.array(found, dtype=np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]


def _view(array: Array) -> memoryview:
    """Return an array for reading single numbers: much faster than indexing the array itself."""
    view: memoryview = array.data
    return view


def expanded(starts: Array, ends: Array) -> tuple[Array, Array]:
    """Return the numbers of all ranges ``starts[i]:ends[i]``, one after the other, and the `i` of each."""
    sizes = ends - starts
    which = np.repeat(np.arange(len(sizes)), sizes)
    offset = np.cumsum(sizes) - sizes
    return which, np.arange(len(which)) + (starts - offset)[which]
