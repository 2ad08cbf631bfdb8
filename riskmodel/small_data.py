"""For few labels: what to label next, which labels to look at again, and what more labels would bring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .artifact import load_model
from .errors import InputError
from .evaluation_stats import Ranking, macro_f1
from .labelled import LabelScheme, frame_cases, frame_conversations
from .model import RiskModel
from .taxonomy import Level
from .texts import cross_predict, deal, held_together, train_on_levels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find_label_issues", "learning_curve", "score_frame", "suggest"]

Array = np.ndarray[Any, Any]

_P = [f"p_{lv.label}" for lv in Level]
_DIMENSIONS = 50
_METRICS = ("average_precision", "macro_f1", "accuracy")


def score_frame(frame: pd.DataFrame, model: RiskModel | str | Path | None = None, *, text: str = "text", id: str = "id") -> pd.DataFrame:
    """Score a frame with one conversation a row.

    Parameters
    ----------
    model : RiskModel or path, optional
        The package's own by default.

    Returns
    -------
    DataFrame
        The columns of `RiskModel.to_frame`, with the index of `frame`.
    """
    judge = _model(model)
    out = judge.to_frame(judge.assess_many(frame_conversations(frame, text, id)))
    out.index = frame.index
    return out


def suggest(
    frame: pd.DataFrame,
    model: RiskModel | str | Path | None = None,
    *,
    n: int = 50,
    text: str = "text",
    diversity: float = 0.5,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose which conversations to label next.

    The model is least sure about them (the two most likely levels are close), and they differ from one
    another: the uncertain ones are clustered by their words, and each cluster gives its most uncertain
    in turn.

    Parameters
    ----------
    n : int
        How many.
    diversity : float
        0 takes the most uncertain whatever they say; 1 chooses among ten times as many as wanted.

    Returns
    -------
    DataFrame
        Rows of `frame`, best first, with rank, risk, uncertainty (0 to 1) and cluster.

    Raises
    ------
    InputError
        When the column is missing, or `n` or `diversity` is out of range.
    """
    if n < 1 or not 0 <= diversity <= 1:
        raise InputError(f"n is {n}, diversity is {diversity}", expected="n of 1 or more, diversity from 0 to 1")
    scored = score_frame(frame, model, text=text)
    top = np.sort(scored[_P].to_numpy(dtype=float), axis=1)
    uncertainty = 1 - (top[:, -1] - top[:, -2])
    order = np.argsort(-uncertainty, kind="stable")
    pool = order[: min(len(order), max(n, round(n * (1 + 9 * diversity))))]
    cluster = _clusters([str(t) for t in frame[text].iloc[pool]], min(n, len(pool)), seed) if diversity else np.arange(len(pool))
    turn = np.zeros(len(pool), dtype=int)  # how many of the same cluster stand before
    seen: dict[int, int] = {}
    for i, c in enumerate(cluster.tolist()):
        turn[i] = seen.get(c, 0)
        seen[c] = turn[i] + 1
    chosen = np.lexsort((np.arange(len(pool)), turn))[:n]
    out = frame.iloc[pool[chosen]].copy()
    out["rank"] = np.arange(1, len(out) + 1)
    out["risk"] = scored["risk"].to_numpy()[pool[chosen]]
    out["uncertainty"] = uncertainty[pool[chosen]].clip(0, 1)
    out["cluster"] = cluster[chosen]
    return out


def _clusters(texts: Sequence[str], k: int, seed: int) -> Array:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    if k < 2 or not any(t.strip() for t in texts):
        return np.zeros(len(texts), dtype=int)
    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    parts = min(_DIMENSIONS, grams.shape[1] - 1, len(texts) - 1)
    dense = normalize(TruncatedSVD(parts, random_state=seed).fit_transform(grams)) if parts >= 1 else grams.toarray()
    k = min(k, len(np.unique(dense.round(12), axis=0)))
    labels: Array = KMeans(k, n_init=1, random_state=seed).fit_predict(dense)
    return labels


def find_label_issues(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Find rows whose label models that did not see them doubt (confident learning).

    A row is doubtful when another level is more likely for it than that level is on average for the rows
    that carry it, and its own level is not. Look at them; dropping them unseen did harm when measured.

    Returns
    -------
    DataFrame
        The doubtful rows of `frame`, worst first, with given and suggested (level names),
        self_confidence (probability of the given level) and margin (of the suggested over the given).
    """
    held_out = cross_predict(frame, text=text, label=label, group=group, folds=folds, seed=seed)
    p = held_out[_P].to_numpy(dtype=float)
    given = np.array([Level.parse(v) for v in held_out["label"]], dtype=int)
    doubtful, suggested = confident_issues(p, given)
    out = frame[doubtful].copy()
    rows = np.flatnonzero(doubtful)
    out["given"] = [Level(int(k)).label for k in given[rows]]
    out["suggested"] = [Level(int(k)).label for k in suggested[rows]]
    out["self_confidence"] = p[rows, given[rows]]
    out["margin"] = p[rows, suggested[rows]] - p[rows, given[rows]]
    return out.sort_values(["self_confidence", "margin"], ascending=[True, False], kind="stable")


def confident_issues(p: Array, given: Array) -> tuple[Array, Array]:
    """Return which rows are doubtful, and the class each row most confidently belongs to.

    Parameters
    ----------
    p : ndarray, shape (n, classes)
        Held-out probabilities.
    given : ndarray of int
        Labels.
    """
    present = np.unique(given)
    bar = np.full(p.shape[1], np.inf)
    for k in present:
        bar[k] = p[given == k, k].mean()
    confident = p >= bar
    best = np.where(confident, p, -1.0).argmax(axis=1)
    doubtful: Array = confident.any(axis=1) & (best != given) & (p[np.arange(len(p)), given] < p[np.arange(len(p)), best])
    return doubtful, best


def learning_curve(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    shares: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    repeats: int = 3,
    folds: int = 5,
    seed: int = 0,
    base: RiskModel | None = None,
) -> pd.DataFrame:
    """Tell what more labels would bring.

    In each repeat one part in `folds` is set apart; models are trained on growing shares of the rest, each
    share holding the one before it. With a group column whole groups are set apart and drawn, so that the
    curve tells what more annotators or centres would bring.

    Returns
    -------
    DataFrame
        One row a share: share, rows, groups, the means of average_precision, macro_f1 and accuracy on the
        parts set apart, and the lowest and highest over the repeats as ``*_low`` and ``*_high``.
    """
    import pandas as pd

    if not shares or not all(0 < s <= 1 for s in shares):
        raise InputError(f"shares are {list(shares)}", expected="numbers above 0, up to 1")
    cases, scheme = frame_cases(frame, text=text, label=label, group=group)
    base = base or load_model()
    y = np.array([int(c.level or 0) for c in cases])
    groups = held_together(cases)
    found: dict[float, list[tuple[int, int, dict[str, float]]]] = {s: [] for s in sorted(shares)}
    for repeat in range(repeats):
        test = deal(y, groups, folds, seed + repeat)[0]
        rest = np.flatnonzero(~test)
        for share, rows in _nested(groups[rest], y[rest], found, seed + repeat):
            part = rest[rows]
            model = train_on_levels([cases[i] for i in part], scheme, base=base, folds=3, seed=seed).model
            result = _measure(model, [cases[i] for i in np.flatnonzero(test)], y[test], scheme)
            found[share].append((len(part), len(set(groups[part].tolist())), result))
    rows_ = []
    for share, points in found.items():
        row: dict[str, Any] = {
            "share": share,
            "rows": round(np.mean([p[0] for p in points])),
            "groups": round(np.mean([p[1] for p in points])) if group else 0,
        }
        for name in _METRICS:
            values = np.array([p[2][name] for p in points])
            row.update({name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()})
        rows_.append(row)
    return pd.DataFrame(rows_)


def _nested(groups: Array, y: Array, shares: Sequence[float] | dict[float, Any], seed: int) -> list[tuple[float, Array]]:
    """Return rows for each share: whole groups, in one order, so that each part holds the one before."""
    names, which = np.unique(groups.astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    position = np.empty(len(names), dtype=int)
    if len(names) == len(y):  # single rows: keep the mix of labels
        order = rng.permutation(len(names))
        for k in np.unique(y):
            own = order[y[np.argsort(which)][order] == k]
            position[own] = np.arange(len(own)) * len(names) // max(len(own), 1)
    else:
        position[rng.permutation(len(names))] = np.arange(len(names))
    return [(s, np.flatnonzero(position[which] < max(1, np.ceil(s * len(names))))) for s in shares]


def _measure(model: RiskModel, cases: Sequence[Any], y: Array, scheme: LabelScheme) -> dict[str, float]:
    judged = model.assess_many(c.conversation for c in cases)
    called, risk = np.array([int(a.level) for a in judged]), np.array([a.risk for a in judged])
    if scheme.kind == "binary":
        y, called = (y >= Level.HIGH).astype(int), (called >= Level.HIGH).astype(int)
        serious = y == 1
    else:
        serious = y >= Level.HIGH
    ones = np.ones(len(y))
    return {
        "average_precision": Ranking(serious, risk).average_precision(ones),
        "macro_f1": macro_f1(y, called, ones),
        "accuracy": float((y == called).mean()),
    }


def _model(model: RiskModel | str | Path | None) -> RiskModel:
    return model if isinstance(model, RiskModel) else load_model(model)
