"""Two models on the same conversations: paired differences, and what a candidate would lose.

**The rule.** A candidate is not fit to replace the present model when one of these holds:

1. *Critical conversations*: fewer of them are called high or critical.
2. *A critical slice*: among the high and critical conversations of one industry, channel, length, disguise
   style or signal (ten or more of them), at least two fewer are called and the recall falls by more than
   two points.
3. *Ranking*: recall at 3 % false alarms over all conversations falls, and the whole interval of the paired
   difference lies below zero.
4. *False alarms*: the share of ordinary conversations that are called high rises by more than a point, and
   the whole interval of the difference lies above zero. (Otherwise a model that calls everything would pass.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .cases import Case
from .evaluation_report import Judged, judge, slices_of, statistics_of
from .evaluation_stats import Interval, bootstrap_weights, difference
from .model import RiskModel
from .taxonomy import Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Regression", "compare"]

Array = np.ndarray[Any, Any]

_MIN_SERIOUS = 10
_LOST = 2
_POINTS = 0.02
_ALARMS = 0.01
#: Numbers of which less is better.
LESS_IS_BETTER = frozenset({"calibration_error", "brier", "false_alarms"})


@dataclass(frozen=True, slots=True)
class Regression:
    """A reason why the candidate should not replace the present model."""

    rule: str
    slice: str
    cases: int
    a: float
    b: float
    lost: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models, `a` the present one and `b` the candidate, on the same cases."""

    names: tuple[str, str]
    conversations: int
    rows: tuple[tuple[str, float, float, Interval], ...]
    slices: tuple[dict[str, Any], ...]
    found: tuple[Regression, ...]
    changed: tuple[dict[str, Any], ...]
    repeats: int

    def regressions(self) -> tuple[Regression, ...]:
        """Return what the candidate would lose, by the rule of this module; empty when it is fit."""
        return self.found

    def frame(self) -> pd.DataFrame:
        """Return one row a number: a, b, the difference b - a and its interval."""
        import pandas as pd

        return pd.DataFrame(
            [{"metric": m, "a": a, "b": b, "difference": d.value, "low": d.low, "high": d.high} for m, a, b, d in self.rows]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "a": self.names[0],
            "b": self.names[1],
            "conversations": self.conversations,
            "bootstrap_samples": self.repeats,
            "fit_to_replace": not self.found,
            "metrics": {m: {"a": _round(a), "b": _round(b), "difference": d.to_dict()} for m, a, b, d in self.rows},
            "slices": [{k: _round(v) for k, v in row.items()} for row in self.slices],
            "regressions": [{k: _round(getattr(r, k)) for k in r.__slots__} for r in self.found],
            "changed": list(self.changed),
        }

    def text(self, lang: str = "zh") -> str:
        """Return the comparison as plain text."""
        from .evaluation_view import comparison_text

        return comparison_text(self, lang)

    def html(self, lang: str = "zh") -> str:
        """Return one self-contained HTML page with plots."""
        from .evaluation_view import comparison_html

        return comparison_html(self, lang)


def compare(
    model_a: RiskModel,
    model_b: RiskModel,
    cases: Sequence[Case],
    *,
    names: tuple[str, str] = ("a", "b"),
    binary: bool = False,
    contacts_per_day: float = 1000,
    repeats: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare a candidate `model_b` with the present `model_a`.

    The differences are paired: both models are measured on the very same bootstrap samples.
    """
    a, b = (judge(m, cases, binary=binary) for m in (model_a, model_b))
    samples = bootstrap_weights(len(a.cases), repeats, seed)
    ones = np.ones(len(a.cases))
    of_a, of_b = statistics_of(a), statistics_of(b)
    rows = [(name, of_a[name](ones), of_b[name](ones), difference(of_a[name], of_b[name], samples)) for name in of_a]
    slices = _slices(a, b, contacts_per_day)
    return Comparison(
        names, len(a.cases), tuple(rows), tuple(slices), tuple(_regressions(a, b, slices, {r[0]: r for r in rows})), tuple(_changed(a, b)), repeats
    )


def _members(cases: Sequence[Case]) -> dict[tuple[str, str], Array]:
    found: dict[tuple[str, str], list[int]] = {}
    for i, case in enumerate(cases):
        signals = {s.value for x in case.labels for s, st in x or () if st.counts}
        for name in (*slices_of(case), *(("signal", s) for s in sorted(signals))):
            found.setdefault(name, []).append(i)
    levels = {("level", lv.label): [i for i, c in enumerate(cases) if c.level is lv] for lv in (Level.CRITICAL, Level.HIGH)}
    out = {}
    for name, own in {**levels, **dict(sorted(found.items()))}.items():
        inside = np.zeros(len(cases), dtype=bool)
        inside[own] = True
        out[name] = inside
    return out


def _slices(a: Judged, b: Judged, contacts: float) -> list[dict[str, Any]]:
    rows = []
    for (dimension, value), inside in _members(a.cases).items():
        serious, ordinary = inside & a.serious, inside & ~a.serious
        if serious.sum() < _MIN_SERIOUS and not (dimension == "level" and serious.any()):
            continue
        called_a, called_b = a.called >= Level.HIGH, b.called >= Level.HIGH
        rows.append(
            {
                "dimension": dimension,
                "value": value,
                "serious": int(serious.sum()),
                "recall_a": float(called_a[serious].mean()),
                "recall_b": float(called_b[serious].mean()),
                "lost": int((called_a & ~called_b)[serious].sum()),
                "won": int((called_b & ~called_a)[serious].sum()),
                "false_alarms_a": float(called_a[ordinary].mean()) if ordinary.any() else float("nan"),
                "false_alarms_b": float(called_b[ordinary].mean()) if ordinary.any() else float("nan"),
                "more_false_alerts_per_day": contacts * float((called_b.astype(int) - called_a)[ordinary].mean()) if ordinary.any() else float("nan"),
            }
        )
    return rows


def _regressions(
    a: Judged, b: Judged, slices: Sequence[dict[str, Any]], rows: dict[str, tuple[str, float, float, Interval]]
) -> list[Regression]:
    members = _members(a.cases)
    lost = (a.called >= Level.HIGH) & (b.called < Level.HIGH) & a.serious
    out = []
    for row in slices:
        name = (row["dimension"], row["value"])
        if name[0] == "author":  # who wrote a case is no property of a contact
            continue
        net, drop = row["lost"] - row["won"], row["recall_a"] - row["recall_b"]
        critical = name == ("level", "critical")
        if (critical and net > 0) or (net >= _LOST and drop > _POINTS):
            ids = tuple(a.cases[i].id for i in np.flatnonzero(members[name] & lost)[:20])
            rule = "critical" if critical else "slice"
            out.append(Regression(rule, f"{name[0]} {name[1]}", row["serious"], row["recall_a"], row["recall_b"], ids))
    _, at_a, at_b, change = rows["recall_at_3"]
    if change.high < 0:
        out.append(Regression("ranking", "recall_at_3", int(a.serious.sum()), at_a, at_b, ()))
    _, false_a, false_b, change = rows["false_alarms"]
    if change.value > _ALARMS and change.low > 0:
        out.append(Regression("false_alarms", "none, low", int((~a.serious).sum()), false_a, false_b, ()))
    return out


def _changed(a: Judged, b: Judged, most: int = 40) -> list[dict[str, Any]]:
    """Return the conversations that only one of the two calls rightly, the serious ones first."""
    right_a, right_b = (j.serious == (j.called >= Level.HIGH) for j in (a, b))
    those = np.flatnonzero(right_a != right_b)
    order = those[np.lexsort((-np.abs(a.risk - b.risk)[those], -a.y[those]))]
    return [
        {
            "id": a.cases[i].id,
            "level": Level(int(a.y[i])).label,
            "a": Level(int(a.called[i])).label,
            "b": Level(int(b.called[i])).label,
            "risk_a": round(float(a.risk[i]), 4),
            "risk_b": round(float(b.risk[i]), 4),
            "better": "b" if right_b[i] else "a",
        }
        for i in order[:most].tolist()
    ]


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return None if value != value else round(float(value), 4)
    return list(value) if isinstance(value, tuple) else value
