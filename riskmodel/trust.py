"""How far to believe the words and the rules of a turn, together: one additive model a head.

The n-grams say how likely each head is by itself; the rules say what they found. Neither is right
alone: a denial makes a threat unlikely, a sure rule means little where the words speak against it, a
short turn is judged differently from a long one. So each head is a sum of one function of every
score, of every kind of rule hit and of the turn's length. `riskmodel.trust_fit` learns it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .signals import RuleHit
from .taxonomy import SIGNALS, Status

__all__ = ["N_RULE_COLUMNS", "N_TIERS", "TurnTrust", "hats", "readings", "rule_tiers"]

Array = np.ndarray[Any, Any]

_N = len(SIGNALS)
N_TIERS = 3  # a rule is a hint, strong, or sure
#: Hits that count, by signal; hits that do not, by signal; hits of any signal, by status.
N_RULE_COLUMNS = 2 * _N + len(Status)
_SIGNAL_INDEX = {s: i for i, s in enumerate(SIGNALS)}
_STATUS_INDEX = {s: 2 * _N + i for i, s in enumerate(Status)}
_SCORE_LIMIT = 8.0
_TILE = 32  # rows of one product: whole steps for the processor, too few for it to be split among threads
_BLOCK = 16 * _TILE  # rows prepared together


def rule_tiers(hits: Sequence[RuleHit]) -> dict[int, int]:
    """Return the columns that a turn's hits switch on, each with how sure its surest rule is (1 to 3)."""
    out: dict[int, int] = {}
    for hit in hits:
        tier = 1 if hit.rule.confidence < 0.65 else 2 if hit.rule.confidence < 0.9 else 3
        own = _SIGNAL_INDEX[hit.signal] + (0 if hit.status.counts else _N)
        for column in (own, _STATUS_INDEX[hit.status]):
            if out.get(column, 0) < tier:
                out[column] = tier
    return out


def readings(scores: Array, lengths: Array) -> Array:
    """Return what the additive models read besides the rules, shape (n_turns, n_heads + 1)."""
    return np.column_stack([np.clip(scores, -_SCORE_LIMIT, _SCORE_LIMIT), np.log1p(lengths)])


def hats(X: Array, knots: Array) -> Array:
    """Return each reading's place between its corners, shape (n_turns, n_readings, n_knots).

    The two corners beside a value share one between them; beyond the ends the nearest has it all.
    A piecewise linear function is then a plain product with its values at the corners.
    """
    low, high = knots[:, :-1], knots[:, 1:]
    up = np.clip((X[:, :, None] - low) / (high - low), 0.0, 1.0)
    out = np.zeros((*X.shape, knots.shape[1]))
    out[:, :, 0] = 1.0
    out[:, :, 1:] = up
    out[:, :, :-1] -= up
    return out


@dataclass(frozen=True, eq=False)
class TurnTrust:
    """The additive models of all heads of one side, compiled.

    Attributes
    ----------
    knots : ndarray, shape (n_heads + 1, n_knots)
        Corners of the function of each reading, rising.
    values : ndarray, shape (n_heads + 1, n_knots, n_heads)
        What a reading adds to each head's log-odds at each corner.
    rules : ndarray, shape (N_RULE_COLUMNS, N_TIERS, n_heads)
        What a rule column adds at each tier.
    intercept : ndarray, shape (n_heads,)
    """

    knots: Array
    values: Array
    rules: Array
    intercept: Array

    def base(self, X: Array) -> Array:
        """Return log-odds from the readings alone, shape (n_turns, n_heads)."""
        n, k, heads = self.values.shape
        weights = self.values.reshape(n * k, heads)
        out = np.empty((len(X), heads))
        for first in range(0, len(X), _BLOCK):
            rows = X[first : first + _BLOCK]
            # Products of one size, so that a text's score does not depend on the batch it stands in.
            padded = np.zeros((-(-len(rows) // _TILE) * _TILE, n * k))
            padded[: len(rows)] = hats(rows, self.knots).reshape(len(rows), n * k)
            product = padded.reshape(-1, _TILE, n * k) @ weights
            out[first : first + _BLOCK] = product.reshape(-1, heads)[: len(rows)]
        return out + self.intercept

    def add_rules(self, row: Array, hits: Sequence[RuleHit]) -> None:
        """Add what the hits of a turn say to its log-odds, in place."""
        for column, tier in rule_tiers(hits).items():
            row += self.rules[column, tier - 1]
