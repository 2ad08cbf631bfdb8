"""Words found in a column of characters, all places at once.

A trie whose steps from node to node stand in one hash table. Every place of the column takes its next
step in the same few array operations, so that finding a hundred thousand words costs about as much as
reading the text a few times, and what is found comes as columns, not as objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Trie"]

Array = np.ndarray[Any, Any]

_MIX = np.uint64(0x9E3779B97F4A7C15)


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
        size = max(16, 1 << (8 * len(rest)).bit_length() - 1)  # mostly empty: few steps look twice
        self._shift = np.uint64(64 - (size.bit_length() - 1))
        self._last = size - 1
        self._table = np.zeros(size, dtype=np.int64)
        keys = (parents[rest] << self._width) | symbols[rest]
        self._fill(keys, (keys << self._bits) | (rest + 1))

    def _fill(self, keys: Array, entries: Array) -> None:
        slot = self._slots(keys)
        pending = np.arange(len(keys))
        while len(pending):
            free = pending[self._table[slot[pending]] == 0]
            self._table[slot[free]] = entries[free]  # of several for one slot the last one stays
            pending = pending[self._table[slot[pending]] != entries[pending]]
            slot[pending] = (slot[pending] + 1) & self._last

    def _slots(self, keys: Array) -> Array:
        slots: Array = ((keys.view(np.uint64) * _MIX) >> self._shift).view(np.int64)
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
