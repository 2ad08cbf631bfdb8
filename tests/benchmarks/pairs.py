"""Paired runs: two ways of doing the same, one after the other, so that a busy machine slows both."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jieba

import riskmodel
from riskmodel import Conversation
from riskmodel.cases import Case, load_cases

jieba.setLogLevel(logging.WARNING)
DATA = Path(__file__).parents[2] / "data"


def paired(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5) -> tuple[float, float, float]:
    """Return median seconds of ours and of theirs, and the median of their ratios (theirs to ours)."""
    ours()
    theirs()
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        started = time.perf_counter()
        theirs()
        middle = time.perf_counter()
        ours()
        times.append((time.perf_counter() - middle, middle - started))
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(b / a for a, b in times),
    )


def quantiles(seconds: Sequence[float]) -> str:
    """Return median and 99th percentile in words."""
    ordered = sorted(seconds)
    return f"p50 {1e6 * ordered[len(ordered) // 2]:.0f} µs, p99 {1e6 * ordered[int(len(ordered) * 0.99)]:.0f} µs"


def written() -> list[Case]:
    """Return the corpus's training conversations: text without repetition."""
    return [c for c in load_cases("train", DATA) if c.level is not None]


def real(folder: Path) -> list[Conversation]:
    """Return real dialogues, with their natural repetition."""
    return list(riskmodel.read_conversations(folder / "crosswoz" / "val.jsonl"))
