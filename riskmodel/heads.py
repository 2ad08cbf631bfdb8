"""What is asked of every turn: the heads, their compiled models, and how a batch is read and scored.

Learning is in `riskmodel.tagger`; here is all that scoring needs, and nothing of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .lexicon import Lexicon, default_lexicon
from .matching import matcher_for
from .ngrams import NgramTable
from .table import AGENT, CUSTOMER, TurnTable, build_table
from .taxonomy import AGENT_SIGNALS, CUSTOMER_SIGNALS, OUTSIDE_STEPS, Signal, Status
from .trust import TurnTrust, readings

if TYPE_CHECKING:
    from .conversation import Conversation

__all__ = [
    "AGENT_HEADS",
    "CUSTOMER_HEADS",
    "DECIDING_HEADS",
    "HEADS",
    "MOOD_HEADS",
    "CompiledTagger",
    "TurnModel",
    "TurnReader",
    "TurnScores",
    "reach",
    "topic_shares",
]

Array = np.ndarray[Any, Any]

_STATUS_HEADS = ("status:denied", "status:asked", "status:reported", "status:done")
MOOD_HEADS = ("mood:low", "mood:high", "mood:critical")
DECIDING_HEADS = ("deciding:high", "deciding:critical")
CUSTOMER_HEADS = (*(s.value for s in CUSTOMER_SIGNALS), *_STATUS_HEADS, *DECIDING_HEADS, *MOOD_HEADS)
AGENT_HEADS = (*(s.value for s in AGENT_SIGNALS), *DECIDING_HEADS, *MOOD_HEADS)
HEADS = {CUSTOMER: CUSTOMER_HEADS, AGENT: AGENT_HEADS}

# What a signal can bring a conversation to on its own; the union heads "deciding" pool them.
_CRITICAL = frozenset(
    {Signal.GROUP_ACTION, Signal.VIOLENCE_THREAT, Signal.SELF_HARM, Signal.PRIVACY_BREACH, Signal.AGENT_ABUSE, Signal.AGENT_PRIVACY_VIOLATION}
)
_HIGH = _CRITICAL | OUTSIDE_STEPS | set(AGENT_SIGNALS) | {Signal.SAFETY_INCIDENT, Signal.REPEAT_COMPLAINT}


@dataclass(frozen=True, eq=False)
class TurnScores:
    """Log-odds of every head for every turn; heads of the other side are at `floor`.

    Attributes
    ----------
    customer : ndarray, shape (n_turns, len(CUSTOMER_HEADS))
    agent : ndarray, shape (n_turns, len(AGENT_HEADS))
    topic : ndarray or None, shape (n_turns, 13)
        What the words of each turn say of the topic.
    """

    customer: Array
    agent: Array
    topic: Array | None = None


@dataclass(frozen=True, eq=False)
class TurnModel:
    """The tagger of one side in its compiled form."""

    table: NgramTable
    intercept: Array  # of the n-gram heads, (n_heads,)
    trust: TurnTrust

    def score(self, table: TurnTable, side: int) -> tuple[Array, Array]:
        """Return log-odds of the heads and of the topics for every turn; zeros for the other side."""
        heads = len(self.intercept)
        out = np.zeros((table.n_turns, self.table.n_heads))
        turns = (table.side == side).nonzero()[0]
        if len(turns):
            texts, where = np.unique(table.text_of[turns], return_inverse=True)
            column = table.column.take(texts)
            projected = self.table.project(column)
            words = readings(projected[:, :heads] + self.intercept, column.bounds[1:] - column.bounds[:-1] - 1)
            projected[:, :heads] = self.trust.base(words)
            out[turns] = projected[where]
            for turn, hits in table.hits.items():
                if table.side[turn] == side:
                    self.trust.add_rules(out[turn, :heads], hits)
        return out[:, :heads], out[:, heads:]


def topic_shares(bounds: Array, side: Array) -> Array:
    """Return how much each turn counts for its conversation's topic, shape (n_turns,).

    The main matter is stated early, by the customer: the k-th turn of a side weighs 1/sqrt(k).
    """
    shares = np.zeros(len(side))
    for who, share in ((CUSTOMER, 1.0), (AGENT, 0.5)):
        mine = (side == who).astype(np.int64)
        before = np.concatenate([[0], np.cumsum(mine)])
        rank = before[1:] - np.repeat(before[bounds[:-1]], bounds[1:] - bounds[:-1])
        shares += np.where(mine, share / np.sqrt(np.maximum(rank, 1)), 0)
    return shares


def reach(signal: Signal, status: Status) -> int:
    """Return the level (1 to 3) that a counting signal can bring a conversation to on its own."""
    if signal in _CRITICAL or (signal in OUTSIDE_STEPS and status is Status.DONE):
        return 3
    return 2 if signal in _HIGH else 1


class TurnReader:
    """How a tagger reads and scores, once it is learned or loaded."""

    lexicon: Lexicon | None
    customer_: TurnModel
    agent_: TurnModel
    topic_intercept_: Array

    def read(self, conversations: Sequence[Conversation]) -> TurnTable:
        """Return the conversations as a table of turns, read with the tagger's rules."""
        return build_table(conversations, matcher_for(self.lexicon_or_default()))

    def lexicon_or_default(self) -> Lexicon:
        """Return the rules the tagger reads with."""
        return self.lexicon or default_lexicon()

    def score(self, table: TurnTable) -> TurnScores:
        """Return the log-odds of every head for every turn of a table."""
        customer, topic_c = self.customer_.score(table, CUSTOMER)
        agent, topic_a = self.agent_.score(table, AGENT)
        return TurnScores(customer, agent, topic_c + topic_a)

    def topics(self, table: TurnTable, scores: TurnScores) -> Array:
        """Return log-odds of the topics, shape (n_conversations, 13)."""
        assert scores.topic is not None
        pooled = sums(topic_shares(table.bounds, table.side)[:, None] * scores.topic, table.bounds)
        return pooled + self.topic_intercept_


class CompiledTagger(TurnReader):
    """A tagger that was loaded: it reads and scores, and cannot learn."""

    def __init__(self, lexicon: Lexicon, customer: TurnModel, agent: TurnModel, topic_intercept: Array) -> None:
        self.lexicon = lexicon
        self.customer_, self.agent_, self.topic_intercept_ = customer, agent, topic_intercept


def sums(values: Array, bounds: Array) -> Array:
    """Return the sum of the rows between each two bounds; zeros where there are none."""
    out = np.zeros((len(bounds) - 1, *values.shape[1:]))
    filled = (bounds[1:] > bounds[:-1]).nonzero()[0]
    if len(filled):
        out[filled] = np.add.reduceat(values, bounds[filled], axis=0)
    return out
