"""What a model card says: the data and its digests, versions, results with intervals, use and limits."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from .cases import Case
from .evaluation_stats import Ranking, bootstrap_weights, intervals, macro_f1, weighted_share
from .taxonomy import Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cases_digest", "data_card", "held_out_card", "held_out_frame", "made_with"]

Array = np.ndarray[Any, Any]

_REPEATS = 200
_FEW_GROUPS = 5


def cases_digest(cases: Sequence[Case]) -> str:
    """Return a SHA-256 over every case's turns and labels, whatever their order."""
    lines = sorted(_canonical(case) for case in cases)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _canonical(case: Case) -> bytes:
    labels = [None if x is None else sorted(f"{s.value}:{st.value}" for s, st in x) for x in case.labels]
    level = None if case.level is None else int(case.level)
    turns = [[t.speaker.value, t.text] for t in case.conversation.turns]
    data = [case.id, case.author, level, None if case.topic is None else case.topic.value, turns, labels]
    try:
        return orjson.dumps(data)
    except TypeError:  # half an emoji: no valid UTF-8
        return repr(data).encode("utf-8", "backslashreplace")


def data_card(cases: Sequence[Case]) -> dict[str, Any]:
    """Return what the model was learned from, what it is for and what it is not for."""
    whole = [c for c in cases if c.level is not None]
    levels = Counter(c.level for c in whole)
    labels = Counter(s.value for c in cases for turn in c.labels for s, st in turn or () if st.counts)
    return {
        "data": {
            "conversations": len(whole),
            "utterances": len(cases) - len(whole),
            "turns": sum(len(c.labels) for c in cases),
            "labelled_turns": sum(labels_ is not None for c in cases for labels_ in c.labels),
            "authors": sorted({c.author for c in cases if c.author})[:200],
            "levels": {lv.label: levels[lv] for lv in Level},
            "signals": dict(sorted(labels.items())),
            "digest": cases_digest(cases),
        },
        "intended_use": "Ranking and alerting on Chinese customer-service conversations for review by people.",
        "limits": "Measured on cases like those it was learned from; expect less elsewhere, and measure there. "
        "No automatic punishment of customers or agents; no inference of identity; a person decides.",
    }


def made_with() -> dict[str, str]:
    """Return versions of what has a say in the weights."""
    packages = ("riskmodel", "scikit-learn", "scipy", "numpy", "jieba", "rjieba", "opencc")
    return {"python": platform.python_version(), **{p: version(p) for p in packages}}


def held_out_card(y: Array, at_least: Array, groups: Array, how: str, *, seed: int = 0, repeats: int = _REPEATS) -> dict[str, Any]:
    """Return results with 95 % intervals on predictions by models that did not see the case.

    Parameters
    ----------
    y : ndarray of int
        Levels.
    at_least : ndarray, shape (n, 3)
        Held-out P(level >= low, high, critical).
    groups : ndarray
        Authors: the intervals draw whole authors where there are five or more.
    """
    names = len(set(groups.tolist()))
    by_group = names >= _FEW_GROUPS
    samples = bootstrap_weights(len(y), repeats, seed, groups if by_group else None)
    # Of a binary label "low and above" and "high and above" are one.
    present = [lv for lv in list(Level)[1:] if 0 < (y >= lv).sum() < len(y) and (lv is Level.HIGH or (y == lv).any())]
    rankings = {lv: Ranking(y >= lv, at_least[:, lv - 1]) for lv in present}
    levels, called = _called(y, at_least)
    everyone = np.ones(len(y), dtype=bool)
    out = {
        "average_precision": {
            lv.label: found.to_dict() for lv, found in ((lv, intervals({"": r.average_precision}, samples)[""]) for lv, r in rankings.items())
        },
        "accuracy": intervals({"": lambda w: weighted_share(levels == called, everyone, w)}, samples)[""].to_dict(),
        "macro_f1": intervals({"": lambda w: macro_f1(levels, called, w)}, samples)[""].to_dict(),
    }
    if Level.HIGH in rankings:
        risk = rankings[Level.HIGH]
        out["calibration_error"] = intervals({"": risk.calibration_error}, samples)[""].to_dict()
        for rate in (0.01, 0.03, 0.05):
            found = intervals({"": lambda w, rate=rate: risk.recall_at(w, rate)}, samples)[""]  # type: ignore[misc]
            out[f"recall_at_{rate * 100:.0f}_percent_false_alarms"] = found.to_dict()
    drawn = "authors" if by_group else "conversations"
    return {"how": f"{how}; 95 % intervals over {repeats} bootstrap samples of {drawn}", **out}


def held_out_frame(cases: Sequence[Case], at_least: Array) -> pd.DataFrame:
    """Return how cases were judged by models that did not see them, one row a case.

    Parameters
    ----------
    at_least : ndarray, shape (n_cases, 3)
        P(level >= low, high, critical).
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "id": [c.id for c in cases],
        "label": [None if c.level is None else c.level.label for c in cases],
        "group": [c.author for c in cases],
        "risk": at_least[:, 1],
    }
    edges: list[Any] = [1.0, *at_least.T, 0.0]
    return pd.DataFrame({**columns, **{f"p_{lv.label}": edges[lv] - edges[lv + 1] for lv in Level}})


def _called(y: Array, at_least: Array) -> tuple[Array, Array]:
    """Return labels and calls at 0.5; of a binary label, yes or no."""
    if set(np.unique(y)) <= {0, 2}:
        return (y >= 2).astype(int), (at_least[:, 1] >= 0.5).astype(int)
    return y, (at_least >= 0.5).sum(axis=1)
