"""Learning from conversations with a level each and no turn labels: a plain table of texts and labels.

The tagger of a base model reads the turns, its level model gives a first opinion, a text head learns the
table's own words. A small regression on held-out scores decides how much each of them counts, which also
calibrates. All of it is linear and is compiled into the additive form that `RiskModel` scores with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from .additive import AdditiveModel, monotone
from .assessment import ModelRef
from .cards import data_card, held_out_card, made_with
from .cases import Case
from .conversation import Conversation
from .errors import TrainingError
from .features import FEATURE_NAMES, pool
from .labelled import LabelScheme, frame_cases
from .model import RiskModel
from .normalize import normalize_many
from .taxonomy import Level
from .texthead import N_OUTPUTS
from .textlearner import TextMatrix, learn_linear
from .thresholds import with_thresholds
from .training import Progress, TrainingResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cross_predict", "deal", "held_together", "train_on_levels", "train_texts"]

Array = np.ndarray[Any, Any]

MIN_PER_CLASS = 10
_STACK_C = 1.0
_FEATURE_C = 0.002
_WORTH = 0.99
_NEVER = -30.0  # log-odds of a level that no case has
_EVEN = (0.5, 0.5, 0.5)
_TEXT_RANGE = 200.0


def train_texts(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    id: str | None = None,
    base: RiskModel | None = None,
    name: str = "own",
    folds: int = 5,
    seed: int = 0,
    floors: bool | None = None,
    progress: Progress = lambda _: None,
) -> TrainingResult:
    """Learn a model from a labelled frame, one conversation a row.

    Parameters
    ----------
    text, label, group, id : str
        Columns. Rows of one group (annotator, centre, week) are held out together.
    base : RiskModel, optional
        Whose tagger, rules and policy are kept; the package's own by default.
    folds, seed : int
        Of the cross-fitting.
    floors : bool, optional
        Whether sure signals raise the level whatever the label says. By default they do when the labels
        are the four levels, and not when the label is of two values of the table's own.

    Returns
    -------
    TrainingResult
        ``model`` is a `RiskModel`; ``held_out_frame()`` how each row was judged by models that did not see it.

    Raises
    ------
    InputError, TrainingError
        Naming the column, the label and what to do.
    """
    cases, scheme = frame_cases(frame, text=text, label=label, group=group, id=id)
    return train_on_levels(cases, scheme, base=base, name=name, folds=folds, seed=seed, floors=floors, progress=progress)


def train_on_levels(
    cases: Sequence[Case],
    scheme: LabelScheme | None = None,
    *,
    base: RiskModel | None = None,
    name: str = "own",
    folds: int = 5,
    seed: int = 0,
    floors: bool | None = None,
    progress: Progress = lambda _: None,
) -> TrainingResult:
    """Learn a model from cases whose conversations have a level and whose turns have no labels."""
    if base is None:
        from .artifact import load_model

        base = load_model()
    if base.text is not None:
        raise TrainingError(
            f"the base model {base.ref.name} was itself learned from a table", expected="a model with a tagger of its own",
            mend="leave --base out, or name the model it was made from",
        )  # fmt: skip
    whole = [c for c in cases if c.level is not None]
    scheme = scheme or LabelScheme("ordinal", {})
    _check(whole, scheme)
    floors = scheme.kind == "ordinal" if floors is None else floors
    progress(f"{len(whole)} conversations; reading them with the tagger of model {base.ref.name}")
    learner = _Learner(whole, base, folds, seed)
    progress(f"{learner.texts.n_columns} words and n-grams; cross-fitting in {len(learner.folds)} parts")
    held_out, stacks = learner.cross_fit()
    progress("fitting on everything")
    head, levels = learner.compile(stacks)
    # Floors hold whatever the table's own words say: few tables have cases of every danger.
    policy = with_thresholds(base.policy, _EVEN if scheme.kind == "binary" else None, floors=floors, floor_risk=0.0, name=name)
    y = np.array([int(c.level or 0) for c in whole])
    card = {
        **data_card(cases),
        "labels": {"kind": scheme.kind, "meaning": {mark: level.label for mark, level in sorted(scheme.levels.items())}},
        "learned": "text head over the tagger of model " + f"{base.ref.name} {base.ref.version} {base.ref.digest}",
        "floors": floors,
        "seed": seed,
        "metrics": held_out_card(y, held_out, np.array([c.author for c in whole]), learner.how, seed=seed),
        "made_with": made_with(),
    }
    model = RiskModel(base.tagger, levels, policy, ModelRef(name, version("riskmodel"), ""), card, base.segmenter, head)
    return TrainingResult(model, None, tuple(whole), held_out)


def cross_predict(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how each row of a labelled frame is judged by models that did not see it.

    Returns
    -------
    DataFrame
        The frame's index; columns id, label (level name), group, risk, p_none, p_low, p_high, p_critical.
    """
    from .artifact import load_model

    cases, scheme = frame_cases(frame, text=text, label=label, group=group)
    _check(cases, scheme)
    held_out, _ = _Learner(cases, load_model(), folds, seed).cross_fit()
    out = TrainingResult(load_model(), None, tuple(cases), held_out).held_out_frame()
    out.index = frame.index
    return out


def _check(cases: Sequence[Case], scheme: LabelScheme) -> None:
    counts = Counter(c.level for c in cases)
    if len(counts) < 2:
        only = next(iter(counts), None)
        raise TrainingError(
            f"all {len(cases)} rows have one label" + (f" ({only.label})" if only is not None else ""),
            expected="rows of at least two labels", mend="add rows that are labelled otherwise",
        )  # fmt: skip
    names: dict[Level, str] = {}
    for mark, level in scheme.levels.items():
        names.setdefault(level, mark)
    for level in sorted(k for k in counts if k is not None):
        if counts[level] < MIN_PER_CLASS:
            shown = repr(names[level]) if level in names else level.label
            raise TrainingError(
                f"label {shown} has {counts[level]} rows", expected=f"at least {MIN_PER_CLASS} of each label",
                mend=f"label more of it, leave these rows out, or merge it with its neighbour: --labels {names.get(level, level.label)}="
                + ("high" if level == Level.CRITICAL else "low" if level == Level.NONE else "none"),
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Stack:
    """How much each opinion counts for one threshold."""

    weights: Array  # plain, bayes, features, three of the base's level model
    intercept: float


class _Learner:
    """Everything that is learned from one data set, for each distinct threshold of its levels."""

    def __init__(self, cases: Sequence[Case], base: RiskModel, folds: int, seed: int) -> None:
        conversations = [c.conversation for c in cases]
        self.n = len(cases)
        y = np.array([int(c.level or 0) for c in cases])
        # Thresholds that no case lies between are one: of a binary label, low and high.
        targets = {t: y >= t for t in (1, 2, 3) if (y >= t).any()}
        self.threshold: dict[int, int] = {}
        self.targets: dict[int, Array] = {}
        for t, target in targets.items():
            same = next((k for k, other in self.targets.items() if (other == target).all()), None)
            self.threshold[t] = t if same is None else same
            if same is None and not target.all():
                self.targets[t] = target
        self.base = base
        self.features, self.base_terms = _read(conversations, base)
        self.opinions = (self.base_terms + base.levels.intercept) / 4
        self.texts = TextMatrix(conversations, base.segmenter)
        by_group = len({c.author for c in cases}) > 1
        self.how = f"cross-fitting; rows {'of one group' if by_group else 'with the same text'} are held out together"
        self.folds = deal(y, held_together(cases), folds, seed)

    def cross_fit(self) -> tuple[Array, dict[int, _Stack]]:
        """Return P(level >= t) of each row by models that did not see it, and the stacks."""
        scores = {t: np.zeros((self.n, 3)) for t in self.targets}
        for test in self.folds:
            train = np.flatnonzero(~test)
            held = np.flatnonzero(test)
            (X, Z), _, _ = self.texts.part(train, held)
            for t, target in self.targets.items():
                scores[t][held, :2] = learn_linear(X, target[train]).score(Z)
                scores[t][held, 2] = self._features(target, train).score(self.features[held])
        out = np.full((self.n, N_OUTPUTS), _NEVER)
        stacks: dict[int, _Stack] = {}
        for t, target in self.targets.items():
            everything = np.column_stack([scores[t], self.opinions])
            words = everything * ([1, 1] + [0] * (everything.shape[1] - 2))
            tried = [(X, self._stacked(X, target)) for X in (words, everything)]
            loss = [np.logaddexp(0, np.where(target, -z, z)).mean() for _, z in tried]
            # The base's opinion must earn its place: on a matter of its own it is mere noise.
            X, out[:, t - 1] = tried[int(loss[1] < _WORTH * loss[0])]
            stacks[t] = _fit_stack(X, target)
        for t, source in self.threshold.items():
            out[:, t - 1] = out[:, source - 1] if source in self.targets else -_NEVER
        return monotone(out), stacks

    def _stacked(self, X: Array, target: Array) -> Array:
        """Return the held-out log-odds of a stack of held-out scores."""
        out = np.zeros(self.n)
        for test in self.folds:
            part = _fit_stack(X[~test], target[~test])
            out[test] = X[test] @ part.weights + part.intercept
        return out

    def compile(self, stacks: dict[int, _Stack]) -> tuple[Any, AdditiveModel]:
        """Fit on all rows and lay everything into a text head and an additive model."""
        (X,), kept, idfs = self.texts.part(np.arange(self.n))
        knots, base = self.base.levels.knots, self.base.levels
        n_features, n_knots = len(FEATURE_NAMES), knots.shape[1]
        text = np.zeros((X.shape[1], N_OUTPUTS))
        values = np.zeros((N_OUTPUTS, n_features + N_OUTPUTS, n_knots))
        intercept = np.full(N_OUTPUTS, _NEVER)
        line = np.linspace(-_TEXT_RANGE, _TEXT_RANGE, n_knots)
        for t, source in self.threshold.items():
            o = t - 1
            if source not in self.targets:  # every case reaches it
                intercept[o] = -_NEVER
                continue
            stack, target = stacks[source], self.targets[source]
            words = learn_linear(X, target)
            plain = self._features(target, np.arange(self.n))
            text[:, o] = words.weights @ stack.weights[:2]
            values[o, :n_features] = stack.weights[2] * plain.slope[:, None] * knots
            values[o, :n_features] += np.tensordot(stack.weights[3:], base.values, axes=1) / 4
            values[o, n_features + o] = line
            intercept[o] = stack.intercept + words.intercept @ stack.weights[:2] + stack.weights[2] * plain.intercept
            intercept[o] += stack.weights[3:] @ base.intercept / 4
        head = self.texts.compile(text, kept, idfs)
        knots = np.vstack([knots, np.tile(line, (N_OUTPUTS, 1))])
        compiled = AdditiveModel(knots, values, intercept, np.zeros((N_OUTPUTS, n_features + N_OUTPUTS)))
        everything = np.hstack([self.features, X @ text])
        baseline = np.ascontiguousarray(compiled.terms(everything).mean(axis=0).T)
        return head, replace(compiled, baseline=baseline)

    def _features(self, target: Array, rows: Array) -> _Plain:
        return _Plain.fit(self.features[rows], target[rows])


@dataclass(frozen=True, eq=False)
class _Plain:
    """A linear model of the tagger's features."""

    slope: Array
    intercept: float

    @classmethod
    def fit(cls, X: Array, target: Array) -> _Plain:
        if target.all() or not target.any():
            return cls(np.zeros(X.shape[1]), 0.0)
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale[scale < 1e-9] = np.inf
        model = LogisticRegression(C=_FEATURE_C, tol=1e-4, max_iter=500).fit((X - mean) / scale, target)
        slope = model.coef_[0] / scale
        return cls(slope, float(model.intercept_[0] - slope @ mean))

    def score(self, X: Array) -> Array:
        scores: Array = X @ self.slope + self.intercept
        return scores


def _fit_stack(X: Array, target: Array) -> _Stack:
    if target.all() or not target.any():
        return _Stack(np.zeros(X.shape[1]), -_NEVER if target.all() else _NEVER)
    scale = X.std(axis=0)
    scale[scale < 1e-9] = np.inf
    model = LogisticRegression(C=_STACK_C, max_iter=1000).fit(X / scale, target)
    return _Stack(model.coef_[0] / scale, float(model.intercept_[0]))


def _read(conversations: Sequence[Conversation], base: RiskModel, chunk: int = 4000) -> tuple[Array, Array]:
    """Return the tagger's features, kept inside the base's corners, and its level model's log-odds without intercept."""
    features, terms = [], []
    low, high = base.levels.knots[: len(FEATURE_NAMES), 0], base.levels.knots[: len(FEATURE_NAMES), -1]
    for start in range(0, len(conversations), chunk):
        table = base.tagger.read(conversations[start : start + chunk])
        X = pool(table, base.tagger.score(table)).clip(low, high)
        features.append(X)
        terms.append(base.levels.terms(X).sum(axis=1))
    return np.vstack(features), np.vstack(terms)


def held_together(cases: Sequence[Case]) -> Array:
    """Return what is held out together: the table's groups, else rows with the same text."""
    if len({c.author for c in cases}) > 1:
        return np.array([c.author for c in cases], dtype=object)
    texts = normalize_many(["\n".join(t.text for t in c.conversation.turns) for c in cases]).texts()
    return np.array(texts, dtype=object)


def deal(y: Array, groups: Array, k: int, seed: int) -> list[Array]:
    """Deal whole groups out to folds of about equal size and mix of levels; each fold is a mask of rows."""
    names, which = np.unique(groups.astype(str), return_inverse=True)
    k = min(k, len(names))
    size = np.bincount(which)
    mean = np.bincount(which, weights=y) / size
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    if len(names) > 10 * k:
        order = order[np.lexsort((size[order], np.round(mean[order])))]
        fold = np.empty(len(names), dtype=np.int64)
        fold[order] = np.arange(len(names)) % k
    else:  # few groups of different size: the largest first, each to the smallest fold
        fold, filled = np.empty(len(names), dtype=np.int64), np.zeros(k)
        for g in order[np.argsort(-size[order], kind="stable")]:
            fold[g] = int(filled.argmin())
            filled[fold[g]] += size[g]
    return [fold[which] == f for f in range(k)]
