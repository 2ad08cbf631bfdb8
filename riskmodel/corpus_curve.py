"""What more data would bring: results on the test authors by the number of training authors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .baselines import compare_baselines
from .cases import Case
from .errors import TrainingError
from .evaluation import evaluate
from .tagger import SignalTagger
from .training import train_model

__all__ = ["SHARES", "CurvePoint", "learning_curve", "nested_authors"]

SHARES = (0.10, 0.25, 0.50, 1.00)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One training set, and the average precision (high and above) it reaches on the test authors.

    Attributes
    ----------
    tfidf, pipeline : float
        Plain TF-IDF + LogisticRegression; the project's own pipeline.
    tfidf_range : tuple of two floats
        Lowest and highest of the plain model over several draws of as many authors.
    """

    share: float
    authors: tuple[str, ...]
    conversations: int
    utterances: int
    tfidf: float
    tfidf_range: tuple[float, float]
    pipeline: float


def nested_authors(
    authors: Sequence[str], shares: Sequence[float] = SHARES, seed: int = 0
) -> list[tuple[str, ...]]:
    """Return a set of authors for each share, each holding the one before it; at least one author."""
    order = [authors[i] for i in np.random.default_rng(seed).permutation(len(authors))]
    return [tuple(sorted(order[: max(1, math.ceil(share * len(order)))])) for share in shares]


def learning_curve(
    train: Sequence[Case],
    test: Sequence[Case],
    *,
    shares: Sequence[float] = SHARES,
    draws: int = 3,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[CurvePoint]:
    """Yield a point for each share of the training authors.

    Whole authors are drawn, not cases: what counts is how a model does on writers it has not seen.
    The pipeline is trained on the first draw only, for it takes minutes; the plain model on
    `draws` of them, to show how much the choice of authors matters.

    Raises
    ------
    TrainingError
        When there are no training or no test conversations.
    """
    authors = sorted({c.author for c in train})
    if not authors or all(c.is_utterance for c in test):
        raise TrainingError(
            "nothing to learn from or to measure on",
            expected="training and test authors with conversations",
            mend="see splits.toml",
        )
    drawn = [nested_authors(authors, shares, seed) for seed in range(draws)]
    for k, share in enumerate(shares):
        plain = [
            compare_baselines(_of(train, sets[k]), test)["TF-IDF + LR"]["average_precision"] for sets in drawn
        ]
        own = _of(train, drawn[0][k])
        progress(f"{share:.0%}: {', '.join(drawn[0][k])}; TF-IDF + LR {plain[0]:.3f}, now the pipeline")
        model = train_model(own, tagger=SignalTagger(n_jobs=1)).model
        yield CurvePoint(
            share,
            drawn[0][k],
            sum(not c.is_utterance for c in own),
            sum(c.is_utterance for c in own),
            plain[0],
            (min(plain), max(plain)),
            evaluate(model, [c for c in test if not c.is_utterance], early=False).average_precision,
        )


def _of(cases: Sequence[Case], authors: Sequence[str]) -> list[Case]:
    return [c for c in cases if c.author in authors]
