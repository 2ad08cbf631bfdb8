"""The text head: what the words of a whole conversation say of its level, learned without turn labels.

Characters 1 to 4, words 1 to 2 and pairs of words near each other, of what the customer said and of what
the agent said; one weight a gram and threshold (`textlearner` learns them), so scoring is one pass and exact for explanations.
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

__all__ = ["MAX_N", "N_OUTPUTS", "WINDOW", "TextHead", "side_columns", "side_grams"]

Array = np.ndarray[Any, Any]

MAX_N = 4
WINDOW = 8
N_OUTPUTS = 3  # level >= low, high, critical
_SIDES = ((Speaker.CUSTOMER, Speaker.UNKNOWN), (Speaker.AGENT,))


def side_columns(conversations: Sequence[Conversation]) -> tuple[NormalizedTexts, NormalizedTexts]:
    """Return what the customer and what the agent said in each conversation, turns one after the other."""
    customer, agent = (normalize_many(["\n".join(t.text for t in c.turns if t.speaker in who) for c in conversations]) for who in _SIDES)
    return customer, agent


def side_grams(column: NormalizedTexts, segmenter: Segmenter, *, spans: bool = False) -> tuple[Grams, Grams, Grams]:
    """Return the characters, the words and the near words of one side."""
    return char_grams(column, MAX_N), *word_grams(column, segmenter, WINDOW, spans=spans)


@dataclass(frozen=True, eq=False)
class TextHead:
    """The compiled head.

    Attributes
    ----------
    tables : tuple of six tables
        Characters, words and near words of the customer, then of the agent.
    """

    tables: tuple[GramTable, ...]
    segmenter: Segmenter

    def score(self, conversations: Sequence[Conversation]) -> Array:
        """Return the log-odds of the three thresholds, shape (n_conversations, 3), without intercept."""
        out = np.zeros((len(conversations), N_OUTPUTS))
        for side, column in enumerate(side_columns(conversations)):
            own = self.tables[3 * side : 3 * side + 3]
            if any(len(table.keys) for table in own):
                for table, grams in zip(own, side_grams(column, self.segmenter), strict=True):
                    out += table.project(grams)
        return out

    def weigh_characters(self, text: str, output: int = 1, *, agent: bool = False) -> list[tuple[str, float]]:
        """Return each character of what one side said with what it adds to the log-odds of a threshold."""
        out = [0.0] * len(text)
        column = normalize_many([text])
        n = len(column.codes) - 1
        own = self.tables[3:] if agent else self.tables[:3]
        grams = side_grams(column, self.segmenter, spans=True)
        weights = sum((t.weigh_characters(g, n, output) for t, g in zip(own, grams, strict=True)), np.zeros(n))
        for k, weight in enumerate(weights.tolist()):
            out[column.span(k, k + 1)[0]] += weight
        return list(zip(text, out, strict=True))

    def weigh_words(self, conversation: Conversation, output: int = 1) -> dict[str, float]:
        """Return the words of a conversation with what they add to the log-odds of a threshold."""
        total: dict[str, float] = {}
        for agent, who in enumerate(_SIDES):
            text = "\n".join(t.text for t in conversation.turns if t.speaker in who)
            weights = [w for _, w in self.weigh_characters(text, output, agent=bool(agent))]
            at = 0
            for word in self.segmenter.cut(text) if text else ():
                if any(ch.isalnum() for ch in word):
                    total[word] = total.get(word, 0.0) + sum(weights[at : at + len(word)])
                at += len(word)
        return total
