"""What training, evaluation and comparison say on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .evaluation_compare import Comparison
from .evaluation_report import Report
from .evaluation_stats import Interval
from .evaluation_view import say, show_interval

__all__ = ["show_card", "show_comparison", "show_report"]


def show_card(card: Mapping[str, Any], lang: str) -> None:
    """Say on standard error how the model does on cases it did not see."""
    metrics = card.get("metrics", {})
    for key, found in metrics.items():
        if key == "average_precision":
            names = {"low": "average_precision_low", "high": "average_precision", "critical": "average_precision_critical"}
            for level, value in found.items():
                _line(names[level], value, lang)
        elif isinstance(found, Mapping):
            _line(key.removesuffix("_percent_false_alarms"), found, lang)
    if "how" in metrics:
        print(f"  {metrics['how']}", file=sys.stderr)


def _line(key: str, found: Mapping[str, Any], lang: str) -> None:
    value, low, high = (float("nan") if found[k] is None else float(found[k]) for k in ("value", "low", "high"))
    print(f"{show_interval(key, Interval(value, low, high)):>26}  {say(key, lang, 'metric')}", file=sys.stderr)


def show_report(report: Report, lang: str) -> None:
    """Print the report."""
    print(report.text(lang))


def show_comparison(found: Comparison, lang: str) -> None:
    """Print the comparison."""
    print(found.text(lang))
