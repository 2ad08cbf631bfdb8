"""Tables for people on a terminal."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .batch import Summary
from .errors import InputError
from .readers import Reject
from .rules import RuleReport, SignalReport
from .taxonomy import Level, Signal
from .wording import duration, word

__all__ = ["show_metrics", "show_rejects", "show_rules", "show_summary", "show_table"]

_COLOURS = {"none": "green", "low": "yellow", "high": "dark_orange", "critical": "bold red"}
_MAX_ROWS = 30


def show_table(scored: Path, lang: str) -> None:
    """Show the riskiest conversations of a scored JSON Lines file."""
    if scored.suffix != ".jsonl":
        raise InputError("a table can only be shown of JSON Lines", where=str(scored), mend="write -o FILE.jsonl with --table")
    with scored.open("rb") as file:
        rows = (orjson.loads(line) for line in file)
        top = heapq.nlargest(_MAX_ROWS, rows, key=lambda r: (Level.parse(r["level"]), r["risk"]))
    table = Table(title=word("words", "riskiest", lang), show_lines=True, expand=True)
    for key, options in (
        ("conversation", {"no_wrap": True}), ("level", {"no_wrap": True}), ("risk", {"justify": "right"}),
        ("evidence", {"ratio": 3}), ("actions", {"ratio": 2}),
    ):  # fmt: skip
        table.add_column(word("words", key, lang), **options)
    for row in top:
        table.add_row(
            row["id"],
            Text(word("level", row["level"], lang), style=_COLOURS[row["level"]]),
            f"{row['risk']:.2f}",
            _evidence(row, lang),
            "\n".join(f"{duration(a['due_in_s'], lang)} · {word('action', a['action'], lang)}" for a in row["actions"][:4])
            or word("words", "none_found", lang),
        )
    Console().print(table)


def _evidence(row: Mapping[str, Any], lang: str) -> Text:
    out = Text()
    seen: set[tuple[str, str]] = set()
    for item in sorted(row["evidence"], key=lambda e: -e["probability"]):
        key = (item["signal"], item["status"])
        if key in seen or len(seen) >= 4:
            continue
        seen.add(key)
        name = f"{word('signal', item['signal'], lang)}（{word('status', item['status'], lang)}）"
        counts = item["status"] in ("threatened", "done")
        out.append(f"{name} ", style="bold" if counts else "dim")
        words = item["text"] if len(item["text"]) <= 40 else item["text"][:39] + "…"
        out.append(f"“{words}”\n", style=_style(Signal(item["signal"])) if counts else "dim")
    out.rstrip()
    return out or Text(word("words", "none_found", lang), style="dim")


def _style(signal: Signal) -> str:
    return {"threat": "red", "insult": "magenta", "keyword": "yellow", "red_line": "cyan"}[signal.group]


def show_summary(summary: Summary, output: Path, lang: str) -> None:
    """Say on standard error what a run did."""
    console = Console(stderr=True)
    levels = "  ".join(f"{word('level', k, lang)} {n}" for k, n in summary.levels.items())
    rate = summary.conversations / max(summary.seconds, 1e-9)
    console.print(
        f"{word('words', 'scored', lang)} {summary.conversations}  "
        f"({levels})  {summary.seconds:.1f} s, {rate:,.0f} {word('words', 'per_second', lang)}"
    )
    if summary.not_analysed:
        listed = ", ".join(f"{word('not_analysed', k, lang)} {n}" for k, n in sorted(summary.not_analysed.items()))
        console.print(f"{word('words', 'not_analysed', lang)}: {listed}")
    console.print(f"{word('words', 'written_to', lang)}: {output}", highlight=False)


def show_rejects(rejects: Sequence[Reject], lang: str) -> None:
    """List rejected rows on standard error: file, line, field, reason, and how to mend it."""
    console = Console(stderr=True, highlight=False)
    for kept, title in ((False, "rejects"), (True, "notes")):
        rows = [r for r in rejects if r.kept == kept]
        if not rows:
            continue
        console.print(f"{word('words', title, lang)}: {len(rows)}", style="bold")
        for r in rows[:20]:
            place = ", ".join(str(x) for x in (r.file, f"line {r.line}" if r.line else "", r.field, r.id) if x)
            console.print(f"  {place}: {r.reason}", markup=False, soft_wrap=True)
        if len(rows) > 20:
            console.print(f"  … +{len(rows) - 20} (--rejects FILE)")


def show_metrics(rows: Mapping[str, Mapping[str, Any]], lang: str) -> None:
    """Show results side by side, and the signals of the first."""
    console = Console()
    table = Table()
    table.add_column("")
    for name in rows:
        table.add_column(name, justify="right")
    first = next(iter(rows.values()))
    for key in first:
        if key != "signals":
            table.add_row(key, *(_number(row.get(key)) for row in rows.values()))
    console.print(table)
    signals = Table()
    for column in ("signal", "cases", "precision", "recall", "f1", "turn_f1", "status_accuracy"):
        signals.add_column(column, justify="left" if column == "signal" else "right")
    for name, result in first["signals"].items():
        signals.add_row(f"{name} {word('signal', name, lang)}", *(_number(result[c]) for c in ("cases", "precision", "recall", "f1", "turn_f1", "status_accuracy")))
    console.print(signals)


def show_rules(rules: Sequence[RuleReport], signals: Sequence[SignalReport]) -> None:
    """Show what each rule and each signal's rules together do."""
    console = Console()
    table = Table("rule", "hits", "precision", "only this rule", "other status")
    for rule in rules:
        table.add_row(rule.rule, str(rule.hits), _number(rule.precision), str(rule.alone), str(rule.mentions))
    console.print(table)
    table = Table("signal", "turns", "hits", "precision", "recall")
    for s in signals:
        table.add_row(s.signal.value, str(s.positives), str(s.hits), _number(s.precision), _number(s.recall))
    console.print(table)


def _number(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
