"""Conformal sets: the levels that cannot be ruled out, with a coverage that holds on new cases.

Split conformal prediction on held-out probabilities. It promises that the true level lies in the set in at
least so many of a hundred conversations **of the same kind**. Where cases come in groups (authors, centres,
weeks) and new ones come from new groups, each group counts as one draw; without groups each case does.
Nothing is promised when the domain changes: watch drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .taxonomy import Level
from .thresholds import level_numbers, probabilities

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Conformal", "fit_conformal"]

Array = np.ndarray[Any, Any]
_LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Conformal:
    """Fitted sets of levels.

    Attributes
    ----------
    coverage : float
        What is promised.
    bars : tuple of four floats
        A level is in the set when its probability is at least its bar; 2 for levels that were never seen.
    cases, groups : int
        What it was fitted on.
    """

    coverage: float
    bars: tuple[float, float, float, float]
    cases: int
    groups: int

    def sets(self, scored: pd.DataFrame) -> pd.DataFrame:
        """Return the set of levels of each row of a scored frame.

        Returns
        -------
        DataFrame
            The frame's index; levels (tuple of names, no gaps), size, level (the name where there is but
            one), cannot_tell (whether levels below `high` and from `high` on are in the set).
        """
        import pandas as pd

        inside = self._inside(_each(scored))
        names = [tuple(lv.label for lv in _LEVELS if row[lv]) for row in inside]
        return pd.DataFrame(
            {
                "levels": pd.Series(names, index=scored.index, dtype=object),
                "size": inside.sum(axis=1),
                "level": pd.Series([n[0] if len(n) == 1 else None for n in names], index=scored.index, dtype=object),
                "cannot_tell": inside[:, :2].any(axis=1) & inside[:, 2:].any(axis=1),
            },
            index=scored.index,
        )

    def coverage_of(self, scored: pd.DataFrame, label: str = "label") -> pd.DataFrame:
        """Return how often the true level is in the set, by level and over all."""
        import pandas as pd

        y, inside = level_numbers(scored, label), self._inside(_each(scored))
        right = inside[np.arange(len(y)), y]
        unsure: Array = np.asarray(inside[:, :2].any(axis=1) & inside[:, 2:].any(axis=1))
        rows = {}
        for name, among in [*((lv.label, y == lv) for lv in _LEVELS if (y == lv).any()), ("all", np.ones(len(y), dtype=bool))]:
            rows[name] = {
                "cases": int(among.sum()),
                "coverage": right[among].mean(),
                "mean_size": inside[among].sum(axis=1).mean(),
                "cannot_tell": unsure[among].mean(),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def _inside(self, p: Array) -> Array:
        known = np.array(self.bars) <= 1
        inside: Array = np.asarray(p >= np.array(self.bars) - 1e-12)
        best = np.where(known, p, -1.0).argmax(axis=1)
        inside[np.arange(len(p)), best] = True
        # Levels are in order: what lies between two of the set belongs to it as well.
        up = np.maximum.accumulate(inside, axis=1)
        down = np.maximum.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
        out: Array = up & down & known
        return out


def fit_conformal(
    scored: pd.DataFrame, *, label: str = "label", group: str | None = None, coverage: float = 0.9, per_level: bool = False
) -> Conformal:
    """Fit sets of levels on predictions by models that did not see the case.

    Parameters
    ----------
    scored : DataFrame
        Held-out predictions with true levels (`TrainingResult.held_out_frame`).
    group : str, optional
        Column of groups: the promise is then for conversations of new groups.
    coverage : float
    per_level : bool
        Keep the promise for each level by itself: wider sets, but critical cases are covered as well as the
        many ordinary ones. Not together with `group`.

    Raises
    ------
    InputError
        When there are too few cases or groups for the promise.
    """
    if not 0.5 <= coverage < 1:
        raise InputError(f"coverage is {coverage}", expected="from 0.5 to below 1")
    if per_level and group is not None:
        raise InputError("per_level and group are both given", expected="one of the two")
    y, p = level_numbers(scored, label), _each(scored)
    own = p[np.arange(len(y)), y]
    bars = [2.0] * 4
    groups = 0
    if per_level:
        for k in np.unique(y):
            bars[k] = _bar(own[y == k], np.ones(int((y == k).sum())), coverage, f"cases of level {Level(int(k)).label}", int((y == k).sum()))
    else:
        weight, n, what = np.ones(len(y)), len(y), "cases"
        if group is not None:
            if group not in scored.columns:
                raise InputError(f"there is no column {group!r}", expected="one of " + ", ".join(map(str, scored.columns)))
            _, which = np.unique(scored[group].astype(str).to_numpy(), return_inverse=True)
            weight, n, what = 1 / np.bincount(which)[which], int(which.max()) + 1, "groups"
            groups = n
        bar = _bar(own, weight, coverage, what, n)
        for k in np.unique(y):
            bars[k] = bar
    low, mid, high, critical = bars
    return Conformal(coverage, (low, mid, high, critical), len(y), groups)


def _bar(own: Array, weight: Array, coverage: float, what: str, n: int) -> float:
    """Return the probability that all but a share of 1 - coverage reach, the next draw counted as unknown."""
    if n < math.ceil(coverage / (1 - coverage) - 1e-9):
        raise InputError(
            f"{n} {what} are too few for a coverage of {coverage:.0%}", expected=f"at least {math.ceil(coverage / (1 - coverage) - 1e-9)}",
            mend="promise less, or fit on more",
        )  # fmt: skip
    order = np.argsort(-own, kind="stable")
    reached = np.cumsum(weight[order]) / (n + 1)
    return float(own[order][min(int(np.searchsorted(reached, coverage - 1e-12)), len(own) - 1)])


def _each(scored: pd.DataFrame) -> Array:
    probabilities(scored)  # names what is missing
    p: Array = scored[[f"p_{lv.label}" for lv in _LEVELS]].to_numpy(dtype=float)
    return p
