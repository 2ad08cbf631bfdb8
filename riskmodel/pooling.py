"""A conversation as numbers: what its turns carry, how that adds up, and the shape of the dialogue."""

from __future__ import annotations

from typing import Any

import numpy as np

from .heads import AGENT_HEADS, CUSTOMER_HEADS, DECIDING_HEADS, MOOD_HEADS, TurnScores, reach, sums
from .table import AGENT, CUSTOMER, TurnTable
from .taxonomy import OUTSIDE_STEPS, Signal

__all__ = ["FEATURE_NAMES", "pool"]

Array = np.ndarray[Any, Any]

_C = {name: i for i, name in enumerate(CUSTOMER_HEADS)}
_STEPS = np.array(sorted(_C[s.value] for s in OUTSIDE_STEPS))
_DENIED, _INSULT = _C["status:denied"], _C[Signal.CUSTOMER_INSULT.value]
_WEIGHTY = np.array([_C[Signal.MANAGEMENT_ESCALATION.value], _C[Signal.INFLUENTIAL_IDENTITY.value]])
_DONE = _C["status:done"]

_EXTRA = (
    "step", "step:standing", "step:second", "step:done", "step:weighty", "insult:count", "harm",
    "turns", "customer turns", "agent turns", "customer share", "customer length", "longest turn",
    "burst", "unanswered", "repeated", "last is customer", "rule:low", "rule:high", "rule:critical",
)  # fmt: skip
_TELLING = (MOOD_HEADS[0], *DECIDING_HEADS)  # the heads that stand for the levels low, high, critical
_DECIDING = tuple(f"either {n}:{how}" for n in _TELLING for how in ("any", "max"))
FEATURE_NAMES: tuple[str, ...] = (
    *_DECIDING,
    *(f"{n}, short" for n in _DECIDING),
    *(f"{n}:max" for n in CUSTOMER_HEADS),
    *(f"{n}:any" for n in CUSTOMER_HEADS),
    *(f"{n}:last" for n in CUSTOMER_HEADS),
    *(f"{n}:mean" for n in CUSTOMER_HEADS),
    *(f"agent {n}:max" for n in AGENT_HEADS),
    *(f"agent {n}:any" for n in AGENT_HEADS),
    *(f"agent {n}:mean" for n in AGENT_HEADS),
    *_EXTRA,
)
_HARM = np.array([_C[s.value] for s in (Signal.SELF_HARM, Signal.VIOLENCE_THREAT, Signal.SAFETY_INCIDENT)])
_LIMIT = 8.0  # log-odds beyond this say no more
_SILENT = -12.0  # log-odds of a turn that nobody can judge
_NEAR = 30  # turns back in which the same message counts as repeated


def pool(table: TurnTable, scores: TurnScores) -> Array:
    """Add the turns of each conversation up.

    Returns
    -------
    ndarray, shape (n_conversations, len(FEATURE_NAMES))
        Log-odds are divided by four and counts are logarithms, so that all columns have about the
        same scale and a linear model can be read. The shorter the conversation, the more the
        deciding heads count alone: a single turn has no course that could speak for or against it.
    """
    owner = np.repeat(np.arange(len(table.bounds) - 1), np.diff(table.bounds))
    customer = _Turns(table, owner, CUSTOMER)
    agent = _Turns(table, owner, AGENT)
    z = np.clip(scores.customer[customer.turns], -_LIMIT, _LIMIT)
    p = _chance(z)
    z_agent = np.clip(scores.agent[agent.turns], -_LIMIT, _LIMIT)
    n_heads = len(CUSTOMER_HEADS)
    best = customer.best(z)
    shown = customer.any(p)
    shown[:, _C["status:denied"] :] = 0.0
    blocks = [
        best / 4,
        shown,
        customer.last(z) / 4,
        customer.mean(z) / 4,
        agent.best(z_agent) / 4,
        agent.any(_chance(z_agent)),
        agent.mean(z_agent) / 4,
        _steps(customer, scores.customer[customer.turns], p[:, _INSULT]),
        _chance(best[:, _HARM]).max(axis=1, keepdims=True),
        _shape(table, owner, customer, agent),
        _rules(table),
    ]
    assert best.shape[1] == n_heads
    short = 1 / np.maximum(np.diff(table.bounds), 1)[:, None]
    deciding = _deciding(table, scores, owner)
    return np.concatenate([deciding, deciding * short, np.concatenate(blocks, axis=1) * (1 - short)], axis=1)


class _Turns:
    """The turns of one side, and how their rows add up to conversations."""

    def __init__(self, table: TurnTable, owner: Array, side: int) -> None:
        self.n = len(table.bounds) - 1
        self.turns = np.flatnonzero(table.side == side)
        self.owner = owner[self.turns]
        self.counts = np.bincount(self.owner, minlength=self.n)
        self.bounds = np.concatenate([[0], np.cumsum(self.counts)])
        self.filled = np.flatnonzero(self.counts)
        self.starts = self.bounds[self.filled]
        # Turns that follow each other without another side's turn between them are one burst.
        joined = np.zeros(len(self.turns), dtype=bool)
        joined[1:] = (np.diff(self.turns) == 1) & (np.diff(self.owner) == 0)
        self.burst_starts = np.flatnonzero(~joined)

    def _reduced(self, by: np.ufunc, rows: Array, none: float) -> Array:
        out = np.full((self.n, *rows.shape[1:]), none)
        if len(self.filled):
            out[self.filled] = by.reduceat(rows, self.starts, axis=0)
        return out

    def best(self, z: Array) -> Array:
        return self._reduced(np.maximum, z, -_LIMIT)

    def any(self, p: Array) -> Array:
        return 1 - self._reduced(np.multiply, 1 - p, 1.0)

    def mean(self, z: Array) -> Array:
        means = sums(z, self.bounds) / np.maximum(self.counts, 1)[:, None]
        means[self.counts == 0] = -_LIMIT
        return means

    def last(self, z: Array) -> Array:
        """Return the maximum over the last burst."""
        out = np.full((self.n, z.shape[1]), -_LIMIT)
        if len(self.filled):
            firsts = self.burst_starts[np.searchsorted(self.burst_starts, self.bounds[self.filled + 1], side="left") - 1]
            edges = np.stack([firsts, self.bounds[self.filled + 1]], axis=1).ravel()
            out[self.filled] = np.maximum.reduceat(np.concatenate([z, z[:1]]), edges, axis=0)[::2]
        return out

    def burst(self) -> Array:
        """Return the number of turns in the longest burst."""
        out = np.zeros(self.n, dtype=np.int64)
        lengths = np.diff(np.append(self.burst_starts, len(self.turns)))
        np.maximum.at(out, self.owner[self.burst_starts], lengths)
        return out


def _deciding(table: TurnTable, scores: TurnScores, owner: Array) -> Array:
    """Return log-odds that any turn of either side tells of each level, and those of the surest turn.

    A turn whose speaker is not known has no head to ask; there the surest rule speaks.
    """
    out = []
    for k, name in enumerate(_TELLING):
        z = np.full(table.n_turns, _SILENT)
        for side, heads, values in ((CUSTOMER, CUSTOMER_HEADS, scores.customer), (AGENT, AGENT_HEADS, scores.agent)):
            mine = table.side == side
            z[mine] = values[mine, heads.index(name)]
        for turn, hits in table.hits.items():
            if table.side[turn] not in (CUSTOMER, AGENT):
                sure = [h.rule.confidence for h in hits if h.status.counts and reach(h.signal, h.status) > k]
                z[turn] = max([_SILENT, *(np.log(c / (1.0001 - c)) for c in sure)])
        z = np.clip(z, _SILENT, _LIMIT)
        none = sums(-np.logaddexp(0.0, z), table.bounds)  # log of the chance that no turn does
        none = np.minimum(none, -1e-9)
        most = np.full(len(table.bounds) - 1, _SILENT)
        np.maximum.at(most, owner, z)
        out += [(np.log(-np.expm1(none)) - none) / 4, most / 4]
    return np.stack(out, axis=1)


def _steps(customer: _Turns, log_odds: Array, insult: Array) -> Array:
    """Return the six features about steps outside, and how often the customer insults."""
    step = _chance(log_odds[:, _STEPS])
    here = step.max(axis=1, initial=0.0)
    withdrawn = _chance(log_odds[:, _DENIED])
    done = here * _chance(log_odds[:, _DONE])
    weighty = _chance(log_odds[:, _WEIGHTY]).max(axis=1, initial=0.0)
    most = np.sort(customer._reduced(np.maximum, step, 0.0), axis=1)
    top, second = most[:, -1], most[:, -2]
    standing = np.zeros(customer.n)
    # A withdrawal weakens what stood before it: one step a turn, for all conversations at once.
    order = np.argsort(-customer.counts, kind="stable")
    for k in range(int(customer.counts.max(initial=0))):
        going = order[: int(np.searchsorted(-customer.counts[order], -k, side="left"))]
        rows = customer.bounds[going] + k
        standing[going] = np.maximum(standing[going] * (1 - withdrawn[rows]), here[rows])
    return np.stack(
        [
            top,
            standing,
            second,
            customer._reduced(np.maximum, done, 0.0),
            top * customer._reduced(np.maximum, weighty, 0.0),
            np.minimum(sums(insult, customer.bounds), 4.0) / 2,
        ],
        axis=1,
    )


def _shape(table: TurnTable, owner: Array, customer: _Turns, agent: _Turns) -> Array:
    bounds = table.bounds
    lengths = table.lengths
    turns = np.diff(bounds)
    own = lengths[customer.turns]
    chars = sums(lengths, bounds)
    chars_c = sums(own, customer.bounds)
    last = np.maximum(bounds[1:] - 1, 0)
    ends_with_customer = (turns > 0) & (table.side[last] == CUSTOMER) if len(table.side) else np.zeros(len(turns), bool)
    after = np.full(customer.n, -1)
    np.maximum.at(after, agent.owner, agent.turns)
    unanswered = np.bincount(customer.owner[customer.turns > after[customer.owner]], minlength=customer.n)
    return np.stack(
        [
            np.log1p(turns) / 4,
            np.log1p(customer.counts) / 4,
            np.log1p(agent.counts) / 4,
            chars_c / np.maximum(chars, 1),
            np.log1p(chars_c) / 8,
            np.log1p(customer._reduced(np.maximum, own, 0.0)) / 8,
            np.log1p(customer.burst()) / 4,
            np.log1p(unanswered) / 4,
            np.log1p(_repeated(table, customer)) / 4,
            ends_with_customer.astype(np.float64),
        ],
        axis=1,
    )


def _repeated(table: TurnTable, customer: _Turns) -> Array:
    """Return how many of the customer's turns say again what one shortly before said."""
    text = table.text_of[customer.turns].astype(np.int64)
    # Turns with one owner and one text stand side by side, in order.
    order = np.lexsort((customer.turns, text, customer.owner))
    turns, text, owner = customer.turns[order], text[order], customer.owner[order]
    again = (np.diff(text) == 0) & (np.diff(owner) == 0) & (np.diff(turns) <= _NEAR)
    counted = np.flatnonzero(again & (table.lengths[turns[1:]] > 3)) + 1
    return np.bincount(owner[counted], minlength=customer.n)


def _rules(table: TurnTable) -> Array:
    """Return how sure the surest rule is whose signal counts, by the level the signal can bring alone."""
    out = np.zeros((len(table.bounds) - 1, 3))
    if not table.hits:
        return out
    turns = np.fromiter(table.hits, dtype=np.int64, count=len(table.hits))
    owners = (np.searchsorted(table.bounds, turns, side="right") - 1).tolist()
    for c, hits in zip(owners, table.hits.values(), strict=True):
        for hit in hits:
            if hit.status.counts:
                column = reach(hit.signal, hit.status) - 1
                out[c, column] = max(out[c, column], hit.rule.confidence)
    return out


def _chance(log_odds: Array) -> Array:
    chance: Array = 1 / (1 + np.exp(-log_odds))
    return chance
