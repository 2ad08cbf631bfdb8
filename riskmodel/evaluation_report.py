"""The whole picture of a model on labelled cases: intervals, slices, signals, alerts a day, worst errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .assessment import Assessment
from .cases import Case
from .errors import InputError
from .evaluation import Metrics, evaluate
from .evaluation_stats import (
    Interval,
    Ranking,
    Statistic,
    bootstrap_weights,
    calibration_bins,
    intervals,
    macro_f1,
    weighted_kappa,
    weighted_share,
    wilson,
)
from .model import RiskModel
from .taxonomy import SIGNALS, Level, Status

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RATES", "Judged", "Report", "judge", "measure", "slices_of", "statistics_of"]

Array = np.ndarray[Any, Any]

#: False-alarm rates at which recall is told.
RATES = (0.01, 0.03, 0.05)
_GRID = tuple(round(0.05 * k, 2) for k in range(1, 20))
_MIN_SLICE = 10
_WORST = 20
_EXCERPT = 240
_LENGTHS = ((1, "1"), (5, "2-5"), (15, "6-15"), (10**9, "16+"))


@dataclass(frozen=True, eq=False)
class Judged:
    """Labelled conversations with what a model says of them."""

    cases: tuple[Case, ...]
    assessments: tuple[Assessment, ...]
    binary: bool

    @cached_property
    def y(self) -> Array:
        """True levels, 0 to 3."""
        return np.array([int(c.level) for c in self.cases if c.level is not None])

    @cached_property
    def called(self) -> Array:
        """Levels as the policy gives them."""
        return np.array([int(a.level) for a in self.assessments])

    @cached_property
    def at_least(self) -> Array:
        """P(level >= low, high, critical)."""
        p = np.array([a.levels for a in self.assessments]).reshape(-1, 4)
        return np.column_stack([1 - p[:, 0], [a.risk for a in self.assessments], p[:, 3]])

    @property
    def risk(self) -> Array:
        return self.at_least[:, 1]

    @property
    def serious(self) -> Array:
        """Whether the true level is high or critical."""
        return self.y >= Level.HIGH


def judge(model: RiskModel, cases: Sequence[Case], *, binary: bool = False) -> Judged:
    """Assess the conversations that have a level.

    Raises
    ------
    InputError
        When there is none.
    """
    whole = tuple(c for c in cases if c.level is not None)
    if not whole:
        raise InputError("no conversation has a level", where="labelled cases", expected="risk_level on conversations, or a column of labels")
    return Judged(whole, tuple(model.assess_many(c.conversation for c in whole)), binary)


def statistics_of(judged: Judged) -> dict[str, Statistic]:
    """Return every headline number as a function of the conversations' weights."""
    y, called, serious = judged.y, judged.called, judged.serious
    marks, calls = (serious.astype(int), (called >= Level.HIGH).astype(int)) if judged.binary else (y, called)
    everyone = np.ones(len(y), dtype=bool)
    risk = Ranking(serious, judged.risk)
    alarmed = called >= Level.HIGH
    out: dict[str, Statistic] = {
        "accuracy": lambda w: weighted_share(marks == calls, everyone, w),
        "macro_f1": lambda w: macro_f1(marks, calls, w),
        "average_precision": risk.average_precision,
        "calibration_error": risk.calibration_error,
        "brier": risk.brier,
        **{_rate(rate): lambda w, rate=rate: risk.recall_at(w, rate) for rate in RATES},  # type: ignore[misc]
        "high_recall": lambda w: weighted_share(alarmed, serious, w),
        "critical_recall": lambda w: weighted_share(alarmed, y == Level.CRITICAL, w),
        "false_alarms": lambda w: weighted_share(alarmed, ~serious, w),
    }
    if judged.binary:
        del out["critical_recall"]
    else:
        critical, low = Ranking(y >= Level.CRITICAL, judged.at_least[:, 2]), Ranking(y >= Level.LOW, judged.at_least[:, 0])
        out["average_precision_low"] = low.average_precision
        out["average_precision_critical"] = critical.average_precision
        out["weighted_kappa"] = lambda w: weighted_kappa(y, called, w)
    return out


def _rate(rate: float) -> str:
    return f"recall_at_{rate * 100:.0f}"


def slices_of(case: Case) -> list[tuple[str, str]]:
    """Return the slices a conversation belongs to, as (dimension, value)."""
    n = len(case.conversation.turns)
    out = [("length", next(name for most, name in _LENGTHS if n <= most))]
    channel = case.meta.get("channel") or case.conversation.channel
    for dimension, value in (("industry", case.meta.get("industry")), ("channel", channel), ("author", case.author)):
        if value:
            out.append((dimension, str(value)))
    style = case.meta.get("style") or ()
    out.extend(("style", str(s)) for s in ([style] if isinstance(style, str) else style))
    return out


@dataclass(frozen=True, eq=False)
class Report:
    """Everything `measure` found; see `frame` for its tables."""

    model: str
    metrics: Metrics
    headline: dict[str, Interval]
    tables: dict[str, list[dict[str, Any]]]
    judged: Judged
    contacts_per_day: float
    repeats: int

    @property
    def has_signals(self) -> bool:
        """Whether turns were labelled."""
        return bool(self.tables["signals"])

    def frame(self, table: str) -> pd.DataFrame:
        """Return a table: slices, signals, statuses, alarms, calibration or errors.

        Raises
        ------
        InputError
            When there is no such table.
        """
        import pandas as pd

        if table not in self.tables:
            raise InputError(f"no table {table!r}", expected="one of " + ", ".join(self.tables))
        return pd.DataFrame(self.tables[table])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "model": self.model,
            "conversations": len(self.judged.cases),
            "contacts_per_day": self.contacts_per_day,
            "bootstrap_samples": self.repeats,
            "headline": {k: v.to_dict() for k, v in self.headline.items()},
            "early": {k: _plain(getattr(self.metrics, k)) for k in ("early_critical", "early_high", "ever_alarmed")},
            **{name: [{k: _plain(v) for k, v in row.items()} for row in rows] for name, rows in self.tables.items()},
        }

    def text(self, lang: str = "zh") -> str:
        """Return the report as plain text."""
        from .evaluation_view import report_text

        return report_text(self, lang)

    def html(self, lang: str = "zh") -> str:
        """Return one self-contained HTML page with plots."""
        from .evaluation_view import report_html

        return report_html(self, lang)


def measure(
    model: RiskModel,
    cases: Sequence[Case],
    *,
    binary: bool = False,
    contacts_per_day: float = 1000,
    serious_share: float | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> Report:
    """Measure a model on labelled cases.

    Parameters
    ----------
    binary : bool
        Whether labels only say high or not: accuracy and F1 are then of two classes.
    contacts_per_day : float
        For alerts a day.
    serious_share : float, optional
        Share of high and critical conversations among the contacts. By default as among the cases, which is
        right only where the cases are a fair sample.
    repeats, seed : int
        Bootstrap samples of conversations behind each interval; shares in slices, which may be small,
        have Wilson's.
    """
    judged = judge(model, cases, binary=binary)
    samples = bootstrap_weights(len(judged.cases), repeats, seed)
    labelled = any(x is not None for c in cases for x in c.labels)
    metrics = evaluate(model, cases, early=labelled)
    tables = {
        "alarms": _alarms(judged, model.policy.thresholds[1], contacts_per_day, serious_share),
        "slices": _slices(judged),
        "signals": _signals(judged, metrics) if labelled else [],
        "statuses": _statuses(judged) if labelled else [],
        "calibration": _calibration(judged),
        "errors": _errors(judged),
    }
    return Report(
        f"{model.ref.name} {model.ref.version} {model.ref.digest}".strip(),
        metrics,
        intervals(statistics_of(judged), samples),
        tables,
        judged,
        contacts_per_day,
        repeats,
    )


def _alarms(judged: Judged, own: float, contacts: float, share: float | None) -> list[dict[str, Any]]:
    serious, critical = judged.serious, judged.y == Level.CRITICAL
    share = float(serious.mean()) if share is None else share
    rows = []
    calls = [(t, judged.risk >= t, False) for t in sorted({*_GRID, round(own, 4)})] + [(own, judged.called >= Level.HIGH, True)]
    for threshold, called, policy in calls:
        recall, alarms = _mean(called[serious]), _mean(called[~serious])
        hits, false = share * np.nan_to_num(recall), (1 - share) * np.nan_to_num(alarms)
        rows.append(
            {
                "threshold": threshold,
                "called_by": "policy" if policy else "risk",
                "alerts_per_day": contacts * (hits + false),
                "false_alerts_per_day": contacts * false,
                "precision": hits / (hits + false) if hits + false else float("nan"),
                "recall": recall,
                "critical_recall": _mean(called[critical]),
                "false_alarms": alarms,
            }
        )
    return rows


def _slices(judged: Judged) -> list[dict[str, Any]]:
    members: dict[tuple[str, str], list[int]] = {}
    for i, case in enumerate(judged.cases):
        for name in slices_of(case):
            members.setdefault(name, []).append(i)
    serious, alarmed = judged.serious, judged.called >= Level.HIGH
    rows = []
    for (dimension, value), own in sorted(members.items()):
        if len(own) < _MIN_SLICE:
            continue
        inside = np.zeros(len(serious), dtype=bool)
        inside[own] = True
        risk = Ranking(serious[inside], judged.risk[inside])
        ones = np.ones(len(own))
        recall = _share_interval(alarmed, inside & serious)
        alarms = _share_interval(alarmed, inside & ~serious)
        rows.append(
            {
                "dimension": dimension,
                "value": value,
                "conversations": len(own),
                "serious": int((inside & serious).sum()),
                "average_precision": risk.average_precision(ones),
                **{_rate(rate): risk.recall_at(ones, rate) for rate in RATES},
                "high_recall": recall.value,
                "high_recall_low": recall.low,
                "high_recall_high": recall.high,
                "critical_recall": _mean(alarmed[inside & (judged.y == Level.CRITICAL)]),
                "false_alarms": alarms.value,
                "false_alarms_low": alarms.low,
                "false_alarms_high": alarms.high,
                "calibration_error": risk.calibration_error(ones),
            }
        )
    return rows


def _share_interval(flag: Array, among: Array) -> Interval:
    return wilson(int(flag[among].sum()), int(among.sum()))


def _signals(judged: Judged, metrics: Metrics) -> list[dict[str, Any]]:
    known = [i for i, c in enumerate(judged.cases) if all(x is not None for x in c.labels)]
    ones = np.ones(len(known))
    rows = []
    for score in metrics.signals:
        signal = score.signal
        gold = np.array([any(s is signal and st.counts for x in judged.cases[i].labels for s, st in x or ()) for i in known], dtype=bool)
        found = np.array([max((f.probability for f in judged.assessments[i].findings if f.signal is signal and f.status.counts), default=0.0) for i in known])
        ranking = Ranking(gold, found)
        rows.append(
            {
                "signal": signal.value,
                "cases": int(gold.sum()),
                "average_precision": ranking.average_precision(ones),
                **{_rate(rate): ranking.recall_at(ones, rate) for rate in RATES},
                **{k: getattr(score, k) for k in ("precision", "recall", "f1", "turn_f1", "status_accuracy")},
            }
        )
    return rows


def _statuses(judged: Judged) -> list[dict[str, Any]]:
    """Count signal and status on turns: labelled, found, and both."""
    gold: Counter[tuple[str, str]] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for case, result in zip(judged.cases, judged.assessments, strict=True):
        evidence: dict[int, set[tuple[str, str]]] = {}
        for e in result.evidence:
            if e.probability >= 0.5 or not e.status.counts:
                evidence.setdefault(e.turn, set()).add((e.signal.value, e.status.value))
        for i, labels in enumerate(case.labels):
            if labels is None:
                continue
            here, own = {(s.value, st.value) for s, st in labels}, evidence.get(i, set())
            gold.update(here)
            found.update(own)
            both.update(here & own)
    names = [(s.value, st.value) for s in SIGNALS for st in Status]
    return [
        {
            "signal": signal,
            "status": status,
            "turns": gold[signal, status],
            "found": found[signal, status],
            "precision": _ratio(both[signal, status], found[signal, status]),
            "recall": _ratio(both[signal, status], gold[signal, status]),
        }
        for signal, status in names
        if gold[signal, status] or found[signal, status]
    ]


def _calibration(judged: Judged) -> list[dict[str, Any]]:
    total, said, so = calibration_bins(judged.serious, judged.risk, np.ones(len(judged.y)))
    return [
        {"low": b / 10, "high": (b + 1) / 10, "conversations": int(total[b]), "said": said[b] / total[b], "was_so": so[b] / total[b]}
        for b in range(len(total))
        if total[b]
    ]


def _errors(judged: Judged) -> list[dict[str, Any]]:
    """Return the serious conversations with the lowest risk and the ordinary ones with the highest."""
    rows = []
    wrong = judged.serious != (judged.called >= Level.HIGH)
    for kind, those, sign in (("missed", judged.serious & wrong, 1), ("false_alarm", ~judged.serious & wrong, -1)):
        own = np.flatnonzero(those)
        for i in own[np.lexsort((sign * judged.risk[own], -sign * judged.y[own]))][:_WORST].tolist():
            case, result = judged.cases[i], judged.assessments[i]
            rows.append(
                {
                    "kind": kind,
                    "id": case.id,
                    "level": Level(int(judged.y[i])).label,
                    "called": result.level.label,
                    "risk": round(result.risk, 4),
                    "slices": ", ".join(f"{d} {v}" for d, v in slices_of(case)),
                    "text": _excerpt(case, result),
                }
            )
    return rows


def _excerpt(case: Case, result: Assessment) -> str:
    """Return the turns that matter: the labelled ones, else those with evidence, else the longest."""
    turns = case.conversation.turns
    chosen = [i for i, x in enumerate(case.labels) if x] or sorted({e.turn for e in result.evidence})
    chosen = chosen or [max(range(len(turns)), key=lambda i: len(turns[i].text))]
    text = " ⏎ ".join(turns[i].text.replace("\n", " ") for i in chosen)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _mean(flags: Array) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if value != value else round(float(value), 4)
    return value
