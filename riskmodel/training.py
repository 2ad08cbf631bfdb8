"""From labelled cases to a model: prefixes, cross-fitting, calibration by author, compiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from .additive import compile_levels
from .assessment import ModelRef
from .cards import data_card, held_out_card, held_out_frame, made_with
from .cases import Case
from .errors import TrainingError
from .model import RiskModel
from .pipeline import LevelClassifier, make_risk_pipeline
from .policy import Policy, default_policy, label_level
from .pooling import pool
from .tagger import SignalTagger
from .taxonomy import Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Progress", "TrainingResult", "prefix_cases", "train_model"]

# What a whole conversation, a beginning and a single turn weigh beside each other.
_WEIGHTS = (1.0, 0.5, 0.5)
_CALIBRATION_WEIGHTS = (1.0, 0.5, 0.2)
_MIN_CASES = 40
_PER_LEVEL = 3
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The model, its scikit-learn form, and how each training case was judged by models that did
    not see its author.

    Attributes
    ----------
    held_out : ndarray, shape (n_cases, 3)
        P(level >= low, high, critical) of the whole conversations, in the order of `cases`.
    """

    model: RiskModel
    pipeline: Pipeline | None
    cases: tuple[Case, ...]
    held_out: np.ndarray[Any, Any]

    def held_out_frame(self) -> pd.DataFrame:
        """Return a scored frame of the held-out predictions, with the true levels in ``label``."""
        return held_out_frame(self.cases, self.held_out)


def train_model(
    cases: Sequence[Case],
    *,
    name: str = "default",
    model_version: str = "",
    policy: Policy | None = None,
    tagger: SignalTagger | None = None,
    levels: LevelClassifier | None = None,
    progress: Progress = lambda _: None,
) -> TrainingResult:
    """Learn a model from labelled cases.

    Conversations teach the levels, as wholes and as beginnings (`prefix_cases`), so that the risk
    rises at the turn that carries a signal; conversations and utterances with labelled turns teach
    the tagger.

    Raises
    ------
    TrainingError
        When there are too few cases, or a level has hardly any.
    """
    policy = policy or default_policy()
    _check(cases)
    whole = [c for c in cases if c.level is not None]
    single = [c for c in cases if c.level is None]
    progress(f"{len(whole)} conversations, {len(single)} utterances")
    beginnings = prefix_cases(whole, policy)
    rows = [*whole, *(c for c, _ in beginnings), *single]
    y = np.array(
        [int(c.level or 0) for c in whole]
        + [int(level) for _, level in beginnings]
        + [0] * len(single)
    )
    sizes = [len(whole), len(beginnings), len(single)]
    fit = {
        "sample_weight": np.repeat(_WEIGHTS, sizes),
        "calibration_weight": np.repeat(_CALIBRATION_WEIGHTS, sizes),
        "unsure_low": np.repeat([False, False, True], sizes),
    }
    authors = np.array([c.author for c in rows])

    pipeline = make_risk_pipeline(tagger, levels)
    features, classifier = pipeline.named_steps["features"], pipeline.named_steps["levels"]
    progress("reading turns: fitting the tagger, and again without each group of authors")
    tagger_ = features.tagger
    scores = tagger_.cross_score(list(cases))
    features.tagger_ = tagger_
    X = _prefix_features(tagger_, cases, scores, rows)
    y[len(rows) - len(single) :] = _levels_of_turns(tagger_, single, policy)
    progress("fitting and calibrating the levels")
    groups = authors if len(set(authors)) > 1 else None
    classifier.fit(X, y, groups=groups, **fit)
    held_out = _held_out(classifier, X, y, authors, fit)[: len(whole)]
    compiled = compile_levels(classifier, X)
    model = RiskModel(
        tagger_,
        compiled,
        policy,
        ModelRef(name, model_version or version("riskmodel"), ""),
        {
            **data_card(cases),
            "made_with": made_with(),
            "metrics": held_out_card(y[: len(whole)], held_out, authors[: len(whole)], "cross-validation by author over the training cases"),
        },
    )
    return TrainingResult(model, pipeline, tuple(whole), held_out)


def prefix_cases(cases: Sequence[Case], policy: Policy) -> list[tuple[Case, Level]]:
    """Return beginnings of labelled conversations, each with the level it deserves.

    Of a conversation that reaches `high`: what comes before the deciding turn, and what ends with
    it. Of the others: one beginning of random length.
    """
    rng = np.random.default_rng(0)
    out: list[tuple[Case, Level]] = []
    for case in cases:
        n = len(case.labels)
        assert case.level is not None
        if n < 2 or any(labels is None for labels in case.labels):
            continue
        if case.level < Level.HIGH:
            cut = int(rng.integers(1, n))
            out.append((_prefix(case, cut), min(case.level, Level.LOW)))
            continue
        reached = [label_level(case.labels[: k + 1], case.level, policy) for k in range(n)]
        deciding = next((k for k, level in enumerate(reached) if level >= Level.HIGH), None)
        if deciding is None:
            continue
        if deciding + 1 < n:
            out.append((_prefix(case, deciding + 1), reached[deciding]))
        if deciding > 0:
            out.append((_prefix(case, deciding), Level.LOW if deciding > 1 else reached[deciding - 1]))
    return out


def _levels_of_turns(tagger: SignalTagger, single: Sequence[Case], policy: Policy) -> list[int]:
    """Return the level that each single turn deserves by its labels.

    What labels alone do not tell (a slur from a mild insult, a burn from a smell) the rules with a
    floor of their own add, where the writer saw the same signal.
    """
    table = tagger.read(single)
    out = []
    for i, case in enumerate(single):
        level = label_level(case.labels, Level.NONE, policy)
        labelled = {signal for signal, status in case.labels[-1] or () if status.counts}
        for hit in table.hits.get(int(table.bounds[i + 1]) - 1, ()):
            if hit.status.counts and hit.signal in labelled:
                level = max([level, *(floor for pattern, floor in policy.rule_floors if fnmatchcase(hit.rule.name, pattern))])
        out.append(int(level))
    return out


def _prefix(case: Case, n: int) -> Case:
    return Case(case.conversation.prefix(n), case.level, case.topic, case.labels[:n], case.author, case.meta)


def _prefix_features(tagger: SignalTagger, cases: Sequence[Case], scores: Any, wanted: Sequence[Case]) -> Any:
    """Return features of whole conversations and beginnings from the held-out scores of their turns."""
    from .heads import TurnScores

    table = tagger.read(cases)
    first = {case.id: int(table.bounds[i]) for i, case in enumerate(cases)}
    index = np.concatenate([np.arange(first[c.id], first[c.id] + len(c.labels)) for c in wanted])
    small = tagger.read(wanted)
    return pool(small, TurnScores(scores.customer[index], scores.agent[index]))


def _held_out(classifier: LevelClassifier, X: Any, y: Any, authors: Any, fit: dict[str, Any]) -> Any:
    from sklearn.base import clone
    from sklearn.model_selection import GroupKFold, KFold

    names = len(set(authors))
    splitter = GroupKFold(min(5, names)) if names > 1 else KFold(5, shuffle=True, random_state=0)
    out = np.full((len(y), 3), np.nan)
    for train, test in splitter.split(X, y, authors):
        part = {name: values[train] for name, values in fit.items()}
        fold = clone(classifier).set_params(cv=3).fit(X[train], y[train], groups=authors[train] if names > 2 else None, **part)
        out[test] = fold.predict_at_least(X[test])
    return out


def _check(cases: Sequence[Case]) -> None:
    whole = [c for c in cases if c.level is not None]
    if len(whole) < _MIN_CASES:
        raise TrainingError(
            f"{len(whole)} labelled conversations", expected=f"at least {_MIN_CASES}", mend="label more, or add the package's own cases"
        )
    counts = Counter(c.level for c in whole)
    for level in Level:
        if counts[level] < _PER_LEVEL:
            raise TrainingError(
                f"level {level.label} has {counts[level]} cases", expected=f"at least {_PER_LEVEL} of each level",
                mend="label more of it, or add the package's own cases",
            )  # fmt: skip
    seen = Counter(c.id for c in cases)
    double = next((i for i, k in seen.items() if k > 1), None)
    if double is not None:
        raise TrainingError(f"the id {double!r} stands {seen[double]} times", expected="one case an id", mend="remove or rename the doubles")
