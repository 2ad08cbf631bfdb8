"""The counts of a corpus as tables: on a terminal, and between markers of a Markdown file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .corpus import CorpusSummary
from .corpus_curve import CurvePoint
from .errors import InputError
from .taxonomy import SIGNALS, Level, Status
from .wording import word

__all__ = [
    "GOALS",
    "Sheet",
    "curve_sheet",
    "read_section",
    "sheets",
    "show_sheets",
    "to_markdown",
    "write_section",
]

#: What the corpus is held to, by the names of `CorpusSummary.figures`; "about" is no minimum.
GOALS: Mapping[str, str] = {
    "conversations": "3,000",
    "utterances": "12,000",
    "authors": "15",
    "industries": "15",
    "test authors": "3",
    "test conversations": "450",
    "share of none": "about 38 %",
    "share of low": "about 25 %",
    "share of high": "about 22 %",
    "share of critical": "about 15 %",
    "share by phone": "about 25 %",
    "share with 30 turns and more": "15 %",
    "share in Traditional characters": "5 %",
    "share of none and low with a look-alike": "40 %",
    "utterances that carry the rarest signal": "150",
    "utterances that look like the rarest signal": "150",
    "utterances of the rarest step denied, asked or reported": "60",
    "self_harm, violence_threat, agent_abuse: carried": "300",
    "self_harm, violence_threat, agent_abuse: look-alikes": "300",
    "conversations with the rarest red line": "150",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: the first column is text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(summary: CorpusSummary) -> tuple[Sheet, ...]:
    """Return all counts of a corpus as tables."""
    n = summary.conversations
    levels = [lv.label for lv in Level]
    return (
        Sheet("Figures and goals", ("figure", "has", "goal"), tuple(_figures(summary))),
        Sheet(
            "Splits",
            ("split", "authors", "conversations", "utterances", *levels),
            tuple(
                (
                    name,
                    *map(_whole, counts),
                    *(_whole(summary.split_levels.get((name, lv), 0)) for lv in Level),
                )
                for name, counts in summary.splits.items()
            ),
        ),
        Sheet(
            "Levels",
            ("level", "conversations", "share"),
            _counted({lv.label: summary.levels.get(lv, 0) for lv in Level}, n, False),
        ),
        _signals("Signals in conversations (conversations that hold one)", summary, single=False),
        _signals("Signals in single utterances", summary, single=True),
        Sheet(
            "Red lines of agents",
            ("signal", "conversations"),
            tuple((s.value, _whole(k)) for s, k in summary.red_lines.items()),
        ),
        Sheet(
            "Authors",
            ("author", "split", "conversations", "utterances"),
            tuple(
                (a, summary.split_of.get(a, ""), *map(_whole, counts))
                for a, counts in summary.authors.items()
            ),
        ),
        Sheet("Industries", ("industry", "conversations", "share"), _counted(summary.industries, n)),
        Sheet("Channels", ("channel", "conversations", "share"), _counted(summary.channels, n)),
        Sheet("Topics", ("topic", "conversations", "share"), _counted(summary.topics, n)),
        Sheet(
            "Styles (a conversation may have several, or none)",
            ("style", "conversations", "share"),
            _counted(summary.styles, n),
        ),
    )


def curve_sheet(points: Iterable[CurvePoint]) -> Sheet:
    """Return a learning curve as a table."""
    rows = tuple(
        (
            f"{p.share:.0%}", str(len(p.authors)), _whole(p.conversations), _whole(p.utterances), f"{p.tfidf:.3f}",
            f"{p.tfidf_range[0]:.3f} to {p.tfidf_range[1]:.3f}", f"{p.pipeline:.3f}",
        )
        for p in points
    )  # fmt: skip
    columns = (
        "training authors",
        "authors",
        "conversations",
        "utterances",
        "TF-IDF + LR",
        "over several draws",
        "pipeline",
    )
    return Sheet("Average precision (high and above) on the test authors", columns, rows)


def show_sheets(tables: Iterable[Sheet], console: Console | None = None) -> None:
    """Print tables on a terminal."""
    console = console or Console()
    for sheet in tables:
        table = Table(title=sheet.title, title_justify="left")
        for i, column in enumerate(sheet.columns):
            table.add_column(column, justify="right" if i else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def to_markdown(tables: Iterable[Sheet]) -> str:
    """Return tables as Markdown."""
    parts = []
    for sheet in tables:
        lines = [
            f"### {sheet.title}",
            "",
            _line(sheet.columns),
            _line(("---", *["---:"] * (len(sheet.columns) - 1))),
        ]
        parts.append("\n".join([*lines, *map(_line, sheet.rows)]))
    return "\n\n".join(parts)


def read_section(path: str | Path, name: str) -> str:
    """Return what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises
    ------
    InputError
        When the file or one of the two markers is missing.
    """
    return _parts(path, name)[1].strip("\n")


def write_section(path: str | Path, name: str, text: str) -> bool:
    """Replace what stands between the two markers; return whether anything changed."""
    before, old, after = _parts(path, name)
    new = f"\n\n{text}\n\n"
    if new != old:
        Path(path).write_text(before + new + after, "utf-8")
    return new != old


def _parts(path: str | Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        text = Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            "no such file", where=str(path), expected=f"a Markdown file with {begin} and {end}"
        ) from None
    head, found, rest = text.partition(begin)
    body, closed, tail = rest.partition(end)
    if not found or not closed:
        raise InputError("a marker is missing", where=str(path), expected=f"{begin} and {end}, in this order")
    return head + begin, body, end + tail


def _figures(summary: CorpusSummary) -> Iterable[tuple[str, str, str]]:
    for name, value in summary.figures().items():
        shown = f"{100 * value:.1f} %" if name.startswith("share") else _whole(int(value))
        yield name, shown, GOALS.get(name, "")


def _signals(title: str, summary: CorpusSummary, *, single: bool) -> Sheet:
    rows = []
    for signal in SIGNALS:
        count = summary.signals[signal]
        by_status = count.utterances if single else count.conversations
        similar = count.similar_utterances if single else count.similar_conversations
        rows.append(
            (
                f"{signal} {word('signal', signal, 'zh')}",
                *(_whole(by_status[s]) for s in Status),
                _whole(similar),
            )
        )
    return Sheet(title, ("signal", *(s.value for s in Status), "only looks like it"), tuple(rows))


def _counted(counts: Mapping[str, int], n: int, by_size: bool = True) -> tuple[tuple[str, ...], ...]:
    items = sorted(counts.items(), key=lambda item: (-item[1], item[0])) if by_size else counts.items()
    return tuple((name, _whole(k), f"{100 * k / max(1, n):.1f} %") for name, k in items)


def _whole(number: int) -> str:
    return f"{number:,}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
