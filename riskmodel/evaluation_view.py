"""Reports and comparisons for people: plain text, and one self-contained HTML page with plots."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from .evaluation_stats import Interval, Ranking
from .svg import Line, interval_plot, line_plot
from .wording import LANGUAGES, word

if TYPE_CHECKING:
    from .evaluation_compare import Comparison
    from .evaluation_report import Report

__all__ = ["comparison_html", "comparison_text", "report_html", "report_text", "say", "show_interval"]

_LEFT = frozenset({"dimension", "value", "signal", "status", "kind", "id", "level", "called", "metric", "better", "a_level", "b_level"})
_PERCENT = frozenset(
    {"high_recall", "critical_recall", "false_alarms", "recall", "precision", "recall_at_1", "recall_at_3", "recall_at_5",
     "recall_a", "recall_b", "false_alarms_a", "false_alarms_b", "early_critical", "early_high", "ever_alarmed"}
)  # fmt: skip


@lru_cache(maxsize=1)
def _wording() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files("riskmodel") / "resources/evaluation/wording.toml").read_text("utf-8"))


def say(key: str, lang: str, section: str = "word") -> str:
    """Return a word of the evaluation; the key itself when it has none."""
    names = _wording()[section].get(key)
    return names[LANGUAGES.index(lang)] if names else key


def _name(key: str, lang: str) -> str:
    return say(key, lang) if key in _wording()["word"] else say(key, lang, "metric")


def _number(key: str, value: Any) -> str:
    if value is None or value != value:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if key in _PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:,.1f}" if key.endswith("per_day") else f"{value:.3f}"


def show_interval(key: str, found: Interval) -> str:
    """Return a value with its interval, such as ``0.912 (0.908 … 0.916)``."""
    value = _number(key, found.value)
    if found.low != found.low:
        return value
    return f"{value} ({_number(key, found.low).removesuffix(' %')} … {_number(key, found.high)})"


def _cell(key: str, value: Any, row: Mapping[str, Any], lang: str) -> str:
    if key == "signal" or (key == "value" and row.get("dimension") == "signal"):
        return f"{word('signal', str(value), lang)} {value}"
    if key in ("level", "called", "a", "b") and isinstance(value, str):
        return word("level", value, lang)
    if key == "status":
        return word("status", str(value), lang)
    if key in ("kind", "dimension", "better"):
        return say(str(value), lang)
    if key == "threshold" and row.get("called_by") == "policy":
        return f"{_number(key, value)} {say('by_policy', lang)}"
    return _number(key, value)


_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("alarms", ("threshold", "alerts_per_day", "false_alerts_per_day", "precision", "recall", "critical_recall", "false_alarms")),
    ("slices", ("dimension", "value", "conversations", "serious", "average_precision", "recall_at_3", "high_recall", "critical_recall", "false_alarms", "calibration_error")),
    ("signals", ("signal", "cases", "average_precision", "recall_at_1", "recall_at_3", "recall_at_5", "precision", "recall", "f1", "turn_f1", "status_accuracy")),
    ("statuses", ("signal", "status", "turns", "found", "precision", "recall")),
    ("calibration", ("low", "high", "conversations", "said", "was_so")),
    ("errors", ("kind", "id", "level", "called", "risk", "slices", "text")),
)  # fmt: skip


def _headline(report: Report) -> list[tuple[str, Interval]]:
    nan = float("nan")
    early = [(k, Interval(getattr(report.metrics, k), nan, nan)) for k in ("early_critical", "early_high", "ever_alarmed")]
    return [*report.headline.items(), *((k, v) for k, v in early if v.value == v.value)]


def report_text(report: Report, lang: str) -> str:
    """Return the headline numbers and the tables but for the errors, aligned for a terminal."""
    out = [f"{say('title', lang)}: {report.model}, {len(report.judged.cases)} {say('conversations', lang)}; {say('interval_note', lang)}", ""]
    out += [f"{show_interval(k, v):>26}  {say(k, lang, 'metric')}" for k, v in _headline(report)]
    for name, columns in _TABLES:
        rows = report.tables[name]
        if not rows or name == "errors":
            continue
        out += ["", say(name, lang)]
        if name == "alarms":
            out.append(say("alarms_note", lang).format(contacts=report.contacts_per_day))
        out += _aligned([[_name(c, lang) for c in columns], *([_cell(c, row.get(c), row, lang) for c in columns] for row in rows)])
    return "\n".join(out) + "\n"


def comparison_text(found: Comparison, lang: str) -> str:
    """Return the differences and what the candidate would lose."""
    out = [f"{say('comparison', lang)}: {found.names[0]} → {found.names[1]}, {found.conversations} {say('conversations', lang)}; {say('interval_note', lang)}", ""]
    rows = [[say("metric", lang), found.names[0], found.names[1], say("difference", lang)]]
    rows += [[say(m, lang, "metric"), _number(m, a), _number(m, b), show_interval(m, d)] for m, a, b, d in found.rows]
    return "\n".join([*out, *_aligned(rows), "", *_verdict(found, lang)]) + "\n"


def _verdict(found: Comparison, lang: str) -> list[str]:
    if not found.found:
        return [say("fit", lang)]
    return [say("unfit", lang), *(f"- {line}" for line in _reasons(found, lang))]


def _reasons(found: Comparison, lang: str) -> list[str]:
    out = []
    for r in found.found:
        lost = f"; {', '.join(r.lost)}" if r.lost else ""
        out.append(f"{say(r.rule, lang)}: {r.slice} ({r.cases}), {_number('recall', r.a)} → {_number('recall', r.b)}{lost}")
    return out


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(_width(row[c]) for row in rows) for c in range(len(rows[0]))]
    return ["  ".join(cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _width(text: str) -> int:
    return sum(2 if "\u2e80" <= ch <= "\uffef" else 1 for ch in text)


def report_html(report: Report, lang: str) -> str:
    """Return the report as one page."""
    headline = [{"own": False, "cells": [_td("metric", say(k, lang, "metric")), {"text": show_interval(k, v), "kind": ""}]} for k, v in _headline(report)]
    parts: list[dict[str, Any]] = [
        {
            "title": say("headline", lang),
            "note": say("interval_note", lang),
            "columns": [{"name": say("metric", lang), "left": True}, {"name": "", "left": False}],
            "rows": headline,
            "plots": _plots(report, lang),
        }
    ]
    for name, columns in _TABLES:
        rows = report.tables[name]
        if not rows:
            continue
        part = _table(say(name, lang), columns, rows, lang)
        if name == "alarms":
            part["note"] = say("alarms_note", lang).format(contacts=report.contacts_per_day)
        if name == "slices":
            part["plots"] = _slice_plots(rows, lang)
        parts.append(part)
    subtitle = f"{say('model', lang)} {report.model} · {len(report.judged.cases)} {say('conversations', lang)}"
    return _page(lang, say("title", lang), subtitle, parts, None)


def _plots(report: Report, lang: str) -> list[str]:
    ranking = Ranking(report.judged.serious, report.judged.risk)
    _, hits, false = ranking.counts(np.ones(len(ranking.score)))
    curve: list[str] = []
    if len(hits) and hits[-1] and false[-1]:
        keep = _thin(len(hits))
        x, y = (np.concatenate([[0.0], v[keep] / v[-1]]).tolist() for v in (false, hits))
        curve.append(line_plot([Line("", x, y)], say("false_alarms", lang), say("recall", lang), title=say("curve", lang)))
    bins = report.tables["calibration"]
    alarms = [r for r in report.tables["alarms"] if r["called_by"] == "risk"]
    reliability = Line("", [r["said"] for r in bins], [r["was_so"] for r in bins], points=True)
    t = [r["threshold"] for r in alarms]
    return [
        *curve,
        line_plot([reliability, Line("", [0, 1], [0, 1], dashed=True)], say("said", lang), say("was_so", lang), title=say("calibration", lang)),
        line_plot(
            [Line(say(k, lang), t, [r[k] for r in alarms]) for k in ("alerts_per_day", "false_alerts_per_day")],
            say("threshold", lang), say("alerts_per_day", lang), y_max=None, title=say("alarms", lang),
        ),
        line_plot([Line(say(k, lang), t, [r[k] for r in alarms]) for k in ("recall", "precision")], say("threshold", lang), "", title=say("alarms", lang)),
    ]  # fmt: skip


def _thin(n: int, most: int = 400) -> np.ndarray[Any, Any]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def _slice_plots(rows: Sequence[Mapping[str, Any]], lang: str) -> list[str]:
    out = []
    for key in ("high_recall", "false_alarms"):
        points = [(f"{say(str(r['dimension']), lang)} {r['value']}", r[key], r[f"{key}_low"], r[f"{key}_high"]) for r in rows]
        out.append(interval_plot(points, say(key, lang, "metric"), title=say("slices", lang)))
    return out


def comparison_html(found: Comparison, lang: str) -> str:
    """Return the comparison as one page."""
    rows = [
        {"own": False, "cells": [_td("metric", say(m, lang, "metric")), {"text": _number(m, a)}, {"text": _number(m, b)}, {"text": show_interval(m, d)}]}
        for m, a, b, d in found.rows
    ]
    points = [(say(m, lang, "metric"), d.value, d.low, d.high) for m, _, _, d in found.rows]
    reach = max((abs(v) for p in points for v in p[1:] if v == v), default=0.1) or 0.1
    heads = (say("metric", lang), *found.names, say("difference", lang))
    parts: list[dict[str, Any]] = [
        {
            "title": say("headline", lang), "note": say("interval_note", lang), "rows": rows,
            "columns": [{"name": h, "left": k == 0} for k, h in enumerate(heads)],
            "plots": [interval_plot(points, say("difference", lang), low=-reach, high=reach)],
        },
        _table(say("slices", lang), ("dimension", "value", "serious", "recall_a", "recall_b", "lost", "won", "false_alarms_a", "false_alarms_b"), found.slices, lang),
        _table(say("changed", lang), ("id", "level", "a", "b", "risk_a", "risk_b", "better"), found.changed, lang),
    ]  # fmt: skip
    kind, text = ("bad", say("unfit", lang)) if found.found else ("good", say("fit", lang))
    verdict = {"kind": kind, "text": text, "lines": _reasons(found, lang)}
    subtitle = f"{found.names[0]} → {found.names[1]} · {found.conversations} {say('conversations', lang)}"
    return _page(lang, say("comparison", lang), subtitle, parts, verdict)


def _table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], lang: str) -> dict[str, Any]:
    return {
        "title": title,
        "columns": [{"name": _name(c, lang), "left": c in _LEFT or c == "text"} for c in columns],
        "rows": [
            {"own": row.get("called_by") == "policy", "cells": [_td(c, _cell(c, row.get(c), row, lang)) for c in columns]} for row in rows
        ],
    }


def _td(column: str, text: str) -> dict[str, str]:
    return {"text": text, "kind": "text" if column in ("text", "slices") else "l" if column in _LEFT else ""}


def _page(lang: str, title: str, subtitle: str, parts: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any] | None) -> str:
    from jinja2 import Environment

    source = (files("riskmodel") / "resources/evaluation/page.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        lang="zh-CN" if lang == "zh" else "en", title=title, subtitle=subtitle, parts=parts, verdict=verdict
    )
