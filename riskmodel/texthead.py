"""The text head: what the words of a whole conversation say of its level, learned without turn labels.

Characters 1 to 4 and words 1 to 2 of what the customer said, and of what the agent said; one weight a gram
and threshold (`textlearner` learns them), so scoring is one pass and exact for explanations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .conversation import Conversation, Speaker
from .grams import Grams, GramTable, char_grams, word_grams
from .normalize import NormalizedTexts, normalize_many
from .segment import Segmenter

__all__ = ["MAX_N", "N_OUTPUTS", "TextHead", "side_columns", "side_grams"]

Array = np.ndarray[Any, Any]

MAX_N = 4
N_OUTPUTS = 3  # level >= low, high, critical
_SIDES = ((Speaker.CUSTOMER, Speaker.UNKNOWN), (Speaker.AGENT,))


def side_columns(conversations: Sequence[Conversation]) -> tuple[NormalizedTexts, NormalizedTexts]:
    """Return what the customer and what the agent said in each conversation, turns one after the other."""
    customer, agent = (normalize_many(["\n".join(t.text for t in c.turns if t.speaker in who) for c in conversations]) for who in _SIDES)
    return customer, agent


def side_grams(column: NormalizedTexts, segmenter: Segmenter) -> tuple[Grams, Grams]:
    """Return the characters and the words of one side."""
    return char_grams(column, MAX_N), word_grams(column, segmenter)


@dataclass(frozen=True, eq=False)
class TextHead:
    """The compiled head.

    Attributes
    ----------
    tables : tuple of four tables
        Characters and words of the customer, characters and words of the agent.
    """

    tables: tuple[GramTable, GramTable, GramTable, GramTable]
    segmenter: Segmenter

    def score(self, conversations: Sequence[Conversation]) -> Array:
        """Return the log-odds of the three thresholds, shape (n_conversations, 3), without intercept."""
        out = np.zeros((len(conversations), N_OUTPUTS))
        for side, column in enumerate(side_columns(conversations)):
            pair = self.tables[2 * side : 2 * side + 2]
            if any(len(table.keys) for table in pair):
                for table, grams in zip(pair, side_grams(column, self.segmenter), strict=True):
                    out += table.project(grams)
        return out

    def weigh_characters(self, text: str, output: int = 1, *, agent: bool = False) -> list[tuple[str, float]]:
        """Return each character of what one side said with what it adds to the log-odds of a threshold."""
        out = [0.0] * len(text)
        column = normalize_many([text])
        n = len(column.codes) - 1
        pair = self.tables[2:] if agent else self.tables[:2]
        weights = sum((t.weigh_characters(g, n, output) for t, g in zip(pair, side_grams(column, self.segmenter), strict=True)), np.zeros(n))
        for k, weight in enumerate(weights.tolist()):
            out[column.span(k, k + 1)[0]] += weight
        return list(zip(text, out, strict=True))
