"""The learned tagger: how likely each turn carries each signal, from its words and the rules' hits.

First one linear model a head over the turn's n-grams, so that what the words say can be laid back on
the characters exactly; then an additive model that weighs all heads and the rules' hits against each
other. A customer's and an agent's turns have vocabularies and heads of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted

from .cases import Case
from .conversation import Conversation
from .errors import TrainingError
from .heads import (
    HEADS,
    MOOD_HEADS,
    TurnModel,
    TurnReader,
    TurnScores,
    reach,
    topic_shares,
)
from .lexicon import Lexicon
from .ngrams import NgramTable, rounded
from .table import AGENT, CUSTOMER, TurnTable
from .taxonomy import DEMANDS, Level, Signal, Status, Topic
from .trust import N_RULE_COLUMNS, readings, rule_tiers
from .trust_fit import fit_trust
from .vectorizer import NgramVectorizer

__all__ = ["SignalTagger"]

Array = np.ndarray[Any, Any]

_TRUST_FOLDS = 3  # of the second stage, which has few weights and needs few folds


class SignalTagger(TurnReader, BaseEstimator):  # type: ignore[misc]
    """Learn the turn heads from labelled cases.

    Parameters
    ----------
    max_n, min_df : int
        The n-grams (see `NgramVectorizer`).
    C, topic_C : float
        Inverse strength of the regularisation of the signal heads and of the topics.
    trust_C : float
        The same for the additive models that weigh words and rules against each other.
    tuned_on : tuple of str
        Authors whose cases the rules were written with. There the rules look better than they are,
        so how far to trust them is learned from the other authors.
    cv : int
        Folds of `cross_score`; cases of one author stay together.
    lexicon : Lexicon, optional
        The package's own rules by default.
    n_jobs : int, optional
        Heads fitted at the same time, in processes: liblinear's random numbers are one stream a process,
        so threads would share it and no two fits would be equal.

    Attributes
    ----------
    customer_, agent_ : TurnModel
    topic_intercept_ : ndarray, shape (13,)
    """

    def __init__(
        self,
        max_n: int = 3,
        min_df: int = 3,
        C: float = 24.0,
        topic_C: float = 10.0,
        trust_C: float = 0.003,
        tuned_on: tuple[str, ...] = (),
        cv: int = 5,
        lexicon: Lexicon | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.max_n = max_n
        self.min_df = min_df
        self.C = C
        self.topic_C = topic_C
        self.trust_C = trust_C
        self.tuned_on = tuned_on
        self.cv = cv
        self.lexicon = lexicon
        self.n_jobs = n_jobs

    # -- learning ---------------------------------------------------------------------------

    def fit(self, X: Sequence[Case], y: object = None) -> SignalTagger:
        """Learn from labelled cases; unlabelled turns are left out."""
        self._learn(X)
        return self

    def cross_score(self, X: Sequence[Case], y: object = None) -> TurnScores:
        """Fit on all of `X`, and return scores of its turns by models that did not see their author."""
        return self._learn(X)

    def _learn(self, X: Sequence[Case]) -> TurnScores:
        if not len(X) or not all(isinstance(case, Case) for case in X):
            raise TrainingError("the tagger learns from labelled cases", expected="a non-empty list of Case")
        table = self.read(X)
        targets = _Targets(X, table)
        held_out: dict[int, Array] = {}
        ngrams: dict[int, sp.csr_matrix] = {}
        for side in (CUSTOMER, AGENT):
            model, held_out[side], ngrams[side] = self._learn_side(table, targets, side)
            setattr(self, "customer_" if side == CUSTOMER else "agent_", model)
        self._learn_topics(table, targets, ngrams)
        return TurnScores(held_out[CUSTOMER], held_out[AGENT])

    def _learn_side(self, table: TurnTable, targets: _Targets, side: int) -> tuple[TurnModel, Array, sp.csr_matrix]:
        """Learn n-gram heads, then how far to trust them beside the rules.

        Returns
        -------
        model, held_out, ngrams
            The compiled model, the scores of all turns by models that did not see their author, and
            the matrix of the side's turns.
        """
        heads = HEADS[side]
        turns = np.flatnonzero(table.side == side)
        texts, where = np.unique(table.text_of[turns], return_inverse=True)
        labelled = np.unique(table.text_of[turns[targets.whole[turns]]])
        vectorizer = NgramVectorizer(self.max_n, self.min_df).fit(table.column.take(labelled))
        ngrams = vectorizer.transform(table.column.take(texts))[where]
        y, weight = targets.of(side, turns)
        author = targets.author[turns]
        folds = _folds(author, self.cv)

        def learn(h: int) -> tuple[Array, float, Array]:
            use = weight[:, h] > 0
            w, b = _fit_head(ngrams[use], y[use, h], weight[use, h], self.C)
            held_out = np.zeros(len(turns))
            for test in folds:
                seen = use & ~test
                wf, bf = _fit_head(ngrams[seen], y[seen, h], weight[seen, h], self.C)
                held_out[test] = ngrams[test] @ wf + bf
            return w, b, held_out

        fitted = joblib.Parallel(n_jobs=self.n_jobs)(
            joblib.delayed(learn)(h) for h in range(len(heads))
        )
        clean = ~np.isin(author, list(self.tuned_on))
        use = weight > 0
        if clean.any():
            use &= clean[:, None]
        words = readings(np.array([f[2] for f in fitted]).T, table.lengths[turns])
        tiers = np.zeros((len(turns), N_RULE_COLUMNS), dtype=np.int8)
        for row, turn in enumerate(turns.tolist()):
            for column, tier in rule_tiers(table.hits.get(turn, ())).items():
                tiers[row, column] = tier
        trust, held_out = fit_trust(words, tiers, y, use, self.trust_C, _folds(author, _TRUST_FOLDS), self.n_jobs)
        scores = np.zeros((table.n_turns, len(heads)))
        scores[turns] = held_out
        model = TurnModel(
            NgramTable(vectorizer.keys_, vectorizer.idf_, rounded(np.array([f[0] for f in fitted]).T), self.max_n),
            rounded(np.array([f[1] for f in fitted])).astype(np.float64),
            trust,
        )
        return model, scores, ngrams

    def _learn_topics(self, table: TurnTable, targets: _Targets, ngrams: dict[int, sp.csr_matrix]) -> None:
        """Learn topics from the weighed sum of a conversation's turns, both sides at once."""
        known = [c for c, topic in enumerate(targets.topics) if topic is not None]
        widths = [ngrams[side].shape[1] for side in (CUSTOMER, AGENT)]
        weights = np.zeros((sum(widths), len(Topic)))
        self.topic_intercept_ = np.zeros(len(Topic))
        if known:
            pooling = topic_pooling(table.bounds, table.side)
            pooled = sp.hstack([pooling[:, np.flatnonzero(table.side == s)] @ ngrams[s] for s in (CUSTOMER, AGENT)])
            names = list(Topic)
            y = np.array([names.index(targets.topics[c]) for c in known])  # type: ignore[arg-type]
            pooled = pooled.tocsr()[known]
            if len(np.unique(y)) > 1:
                model = LogisticRegression(C=self.topic_C, max_iter=300, tol=1e-3).fit(pooled, y)
                coef = model.coef_ if len(model.classes_) > 2 else np.vstack([-model.coef_, model.coef_]) / 2
                bias = model.intercept_ if len(model.classes_) > 2 else np.array([-1, 1]) * model.intercept_ / 2
                weights[:, model.classes_] = coef.T
                self.topic_intercept_[:] = -10.0  # topics never seen
                self.topic_intercept_[model.classes_] = rounded(bias)
        for side, part in zip((CUSTOMER, AGENT), np.split(weights, [widths[0]]), strict=True):
            model = self.customer_ if side == CUSTOMER else self.agent_
            old = model.table
            joined = NgramTable(old.keys, old.idf, np.hstack([old.weights, rounded(part)]), old.max_n)
            setattr(self, "customer_" if side == CUSTOMER else "agent_", replace(model, table=joined))

    # -- reading ----------------------------------------------------------------------------

    def read(self, conversations: Sequence[Conversation | Case]) -> TurnTable:
        """Return the conversations as a table of turns, read with the tagger's rules."""
        return super().read([c.conversation if isinstance(c, Case) else c for c in conversations])

    def score(self, table: TurnTable) -> TurnScores:
        """Return the log-odds of every head for every turn of a table."""
        check_is_fitted(self, "customer_")
        return super().score(table)


def topic_pooling(bounds: Array, side: Array) -> sp.csr_matrix:
    """Return `topic_shares` as a matrix, shape (n_conversations, n_turns)."""
    n = len(side)
    return sp.csr_matrix((topic_shares(bounds, side), np.arange(n), bounds), shape=(len(bounds) - 1, n))


class _Targets:
    """What each head should say of each turn, and how much that turn weighs."""

    def __init__(self, cases: Sequence[Case], table: TurnTable) -> None:
        n = table.n_turns
        self.bounds, self.sides = table.bounds, table.side
        self.topics = [c.topic for c in cases]
        self.labels: list[frozenset[tuple[Signal, Status]] | None] = [x for c in cases for x in c.labels]
        self.author = np.array([c.author for c in cases for _ in c.labels], dtype=object)
        self.level = np.array([-1 if c.level is None else int(c.level) for c in cases for _ in c.labels])
        self.turns_in_case = np.array([len(c.labels) for c in cases for _ in c.labels])
        self.whole = np.array([x is not None for x in self.labels], dtype=bool) if n else np.zeros(0, bool)

    def of(self, side: int, turns: Array) -> tuple[Array, Array]:
        heads = HEADS[side]
        y = np.zeros((len(turns), len(heads)), dtype=bool)
        weight = np.zeros((len(turns), len(heads)))
        column = {name: h for h, name in enumerate(heads)}
        mood = np.array([column[m] for m in MOOD_HEADS])
        for row, turn in enumerate(turns.tolist()):
            labels = self.labels[turn]
            if labels is None:
                continue
            weight[row, : mood[0]] = 1
            for signal, status in labels:
                if status.counts:
                    if signal.value in column:
                        y[row, column[signal.value]] = True
                    level = reach(signal, status)
                    y[row, column["deciding:high"]] |= level >= 2
                    y[row, column["deciding:critical"]] |= level >= 3
                name = f"status:{status.value}"
                # Facts are always done; the head is to tell a step taken from a step announced.
                if name in column and (status is not Status.DONE or signal in DEMANDS):
                    y[row, column[name]] = True
            if self.level[turn] >= 0:
                weight[row, mood] = 8 / (8 + self.turns_in_case[turn])
                y[row, mood] = self.level[turn] >= np.arange(1, len(Level))
        return y, weight


def _fit_head(X: sp.csr_matrix, y: Array, weight: Array, C: float) -> tuple[Array, float]:
    if not len(y) or y.all() or not y.any():
        # Nothing to tell apart: a prior of half a case.
        rate = (y.sum() + 0.5) / (len(y) + 1) if len(y) else 0.01
        return np.zeros(X.shape[1]), float(np.log(rate / (1 - rate)))
    # The dual form: a dozen times faster than the primal on so many sparse features.
    model = LogisticRegression(C=C, solver="liblinear", dual=True, tol=0.02, random_state=0, max_iter=300)
    model.fit(X, y, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])


def _folds(groups: Array, k: int) -> list[Array]:
    names = np.unique(groups.astype(str))
    if len(names) < 2:
        # One author only: fall back to blocks of turns, so that something is held out.
        block = (np.arange(len(groups)) * k) // max(1, len(groups))
        return [block == b for b in range(k)]
    splitter = GroupKFold(n_splits=min(k, len(names)))
    out = []
    for _, test in splitter.split(groups, groups=groups.astype(str)):
        mask = np.zeros(len(groups), dtype=bool)
        mask[test] = True
        out.append(mask)
    return out
