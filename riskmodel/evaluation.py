"""How good a model is: ranking, alarms, calibration, signals, and how early. On labelled cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, cohen_kappa_score

from .assessment import Assessment
from .cases import Case
from .conversation import Conversation
from .model import RiskModel
from .policy import label_level
from .taxonomy import SIGNALS, Level, Signal

__all__ = ["Metrics", "SignalScore", "bootstrap", "early_calls", "evaluate", "expected_calibration_error", "recall_at"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class SignalScore:
    """How one signal is found: in conversations, and on single turns."""

    signal: Signal
    cases: int
    precision: float
    recall: float
    f1: float
    turn_f1: float
    status_accuracy: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Results on labelled conversations; rates are shares from 0 to 1."""

    conversations: int
    average_precision: float
    critical_recall: float
    high_recall: float
    false_alarms: float
    recall_at_1: float
    recall_at_3: float
    weighted_kappa: float
    level_accuracy: float
    topic_accuracy: float
    calibration_error: float
    brier: float
    signal_micro_f1: float
    signal_macro_f1: float
    turn_micro_f1: float
    early_critical: float
    early_high: float
    ever_alarmed: float
    signals: tuple[SignalScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, rounded to four digits."""
        out = {k: getattr(self, k) for k in self.__slots__ if k != "signals"}
        out = {k: round(v, 4) if isinstance(v, float) else v for k, v in out.items()}
        out["signals"] = {
            s.signal.value: {k: round(getattr(s, k), 4) for k in ("cases", "precision", "recall", "f1", "turn_f1", "status_accuracy")}
            for s in self.signals
        }
        return out


def evaluate(model: RiskModel, cases: Sequence[Case], *, early: bool = True) -> Metrics:
    """Measure a model on labelled conversations (single utterances add to the signals' turn scores)."""
    whole = [c for c in cases if c.level is not None]
    judged = model.assess_many(c.conversation for c in cases)
    by_id = dict(zip((c.id for c in cases), judged, strict=True))
    results = [by_id[c.id] for c in whole]
    y = np.array([int(c.level) for c in whole if c.level is not None])
    risk = np.array([a.risk for a in results])
    called = np.array([int(a.level) for a in results])
    ordinary, serious = y < Level.HIGH, y >= Level.HIGH
    topics = [(c.topic, a.topic) for c, a in zip(whole, results, strict=True) if c.topic is not None]
    signals, micro, turn_micro = _signals(cases, judged, whole, results)
    found_early = early_calls(model, whole) if early else (float("nan"),) * 3
    present = [s.f1 for s in signals if s.cases]
    return Metrics(
        len(whole),
        float(average_precision_score(serious, risk)),
        _share(called[y == Level.CRITICAL] >= Level.HIGH),
        _share(called[serious] >= Level.HIGH),
        _share(called[ordinary] >= Level.HIGH),
        recall_at(serious, risk, 0.01),
        recall_at(serious, risk, 0.03),
        float(cohen_kappa_score(y, called, weights="quadratic")),
        _share(y == called),
        _share(np.array([a == b for a, b in topics])),
        expected_calibration_error(serious, risk),
        float(brier_score_loss(serious, risk)),
        micro,
        float(np.mean(present)) if present else float("nan"),
        turn_micro,
        *found_early,
        signals,
    )


def recall_at(target: Array, score: Array, false_alarms: float) -> float:
    """Return the recall when at most this share of the negatives scores as high."""
    negatives = np.sort(score[~target])[::-1]
    if not len(negatives) or not target.any():
        return float("nan")
    threshold = negatives[min(int(false_alarms * len(negatives)), len(negatives) - 1)]
    return _share(score[target] > threshold)


def expected_calibration_error(target: Array, probability: Array, bins: int = 10) -> float:
    """Return the mean gap between what was said and what was so, over bins of equal width."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        (which == b).mean() * abs(probability[which == b].mean() - target[which == b].mean())
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps))


def early_calls(model: RiskModel, cases: Sequence[Case]) -> tuple[float, float, float]:
    """Return how early the model calls, judged on every beginning of every conversation.

    Returns
    -------
    critical, high : float
        Share of critical and of high conversations that are called at least high at the turn of
        the first deciding signal, before anyone reacts.
    ordinary : float
        Share of none and low conversations that are called high at any beginning.
    """
    deciding: list[tuple[Case, int]] = []
    beginnings: list[Conversation] = []
    for case in cases:
        if case.level is None or any(labels is None for labels in case.labels):
            continue
        n = len(case.labels)
        if case.level < Level.HIGH:
            deciding.append((case, -1))
            beginnings.extend(case.conversation.prefix(k + 1) for k in range(n))
            continue
        turn = next(
            (k for k in range(n) if label_level(case.labels[: k + 1], case.level, model.policy) >= Level.HIGH), None
        )
        if turn is not None:
            deciding.append((case, turn))
            beginnings.append(case.conversation.prefix(turn + 1))
    levels = iter([a.level for a in model.assess_many(beginnings)])
    outcome: dict[str, list[bool]] = {"critical": [], "high": [], "ordinary": []}
    for case, turn in deciding:
        if turn >= 0:
            outcome["critical" if case.level == Level.CRITICAL else "high"].append(next(levels) >= Level.HIGH)
        else:
            called = [next(levels) >= Level.HIGH for _ in case.labels]
            # A threat that is withdrawn in the end was one all the same while it stood.
            threatened = any(
                label_level(case.labels[: k + 1], Level.LOW, model.policy) >= Level.HIGH for k in range(len(case.labels))
            )
            if not threatened:
                outcome["ordinary"].append(any(called))
    return tuple(_share(np.array(v)) for v in outcome.values())  # type: ignore[return-value]


def bootstrap(
    statistic: Callable[[Array], float], n: int, *, repeats: int = 1000, coverage: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of ``statistic(indices)`` over resampled cases."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(0, n, n)) for _ in range(repeats)]
    low, high = np.nanquantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def _signals(
    cases: Sequence[Case], judged: Sequence[Assessment], whole: Sequence[Case], results: Sequence[Assessment]
) -> tuple[tuple[SignalScore, ...], float, float]:
    conv: Counter[tuple[Signal, str]] = Counter()
    turn: Counter[tuple[Signal, str]] = Counter()
    status: Counter[tuple[Signal, bool]] = Counter()
    positives: Counter[Signal] = Counter()
    for case, result in zip(whole, results, strict=True):
        if any(labels is None for labels in case.labels):
            continue
        gold = {s for labels in case.labels for s, st in labels or () if st.counts}
        found = {f.signal for f in result.findings if f.status.counts and f.probability >= 0.5}
        positives.update(gold)
        for signal in gold | found:
            conv[signal, _outcome(signal in gold, signal in found)] += 1
    for case, result in zip(cases, judged, strict=True):
        for i, labels in enumerate(case.labels):
            if labels is None:
                continue
            own = [e for e in result.evidence if e.turn == i]
            gold = {s for s, st in labels if st.counts}
            found = {e.signal for e in own if e.status.counts and e.probability >= 0.5}
            for signal in gold | found:
                turn[signal, _outcome(signal in gold, signal in found)] += 1
            for signal, st in labels:
                statuses = {e.status for e in own if e.signal is signal}
                if statuses:
                    status[signal, st in statuses] += 1
    scores = tuple(
        SignalScore(
            s, positives[s], *_prf(conv, [s]), _prf(turn, [s])[2],
            status[s, True] / max(1, status[s, True] + status[s, False]),
        )
        for s in SIGNALS
    )  # fmt: skip
    return scores, _prf(conv, SIGNALS)[2], _prf(turn, SIGNALS)[2]


def _outcome(gold: bool, found: bool) -> str:
    return "right" if gold and found else "missed" if gold else "wrong"


def _prf(counts: Counter[tuple[Signal, str]], signals: Sequence[Signal]) -> tuple[float, float, float]:
    right, wrong, missed = (sum(counts[s, k] for s in signals) for k in ("right", "wrong", "missed"))
    precision = right / (right + wrong) if right + wrong else float("nan")
    recall = right / (right + missed) if right + missed else float("nan")
    f1 = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else float("nan")
    return precision, recall, f1


def _share(flags: Array) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")
