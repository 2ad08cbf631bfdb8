"""The command line of the corpus: ``riskmodel corpus report | check | curve``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["corpus_app"]

corpus_app = typer.Typer(no_args_is_help=True, help="Count and check the labelled corpus.")

DataArgument = Annotated[Path, typer.Argument(help="Corpus folder, with splits.toml and cases/.")]
_FOLDER = Path("data")


@corpus_app.command("report")
def corpus_report(
    data: DataArgument = _FOLDER,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="Markdown file in which the counts between the markers are refreshed, such as data/README.md.",
        ),
    ] = None,
) -> None:
    """Count what the corpus holds: splits, levels, signals, authors, industries, channels."""
    from .corpus import read_corpus, summarise
    from .corpus_tables import sheets, show_sheets, to_markdown, write_section

    corpus = read_corpus(data)
    tables = sheets(summarise(corpus.cases, corpus.splits))
    if write is None:
        show_sheets(tables)
        return
    changed = write_section(write, "counts", to_markdown(tables))
    _say(f"{write}: {'refreshed' if changed else 'was up to date'}")


@corpus_app.command("check")
def corpus_check(
    data: DataArgument = _FOLDER,
) -> None:
    """Check names, sides, levels, numbers and repetition; exit status 1 when something is wrong."""
    from .corpus import read_corpus
    from .corpus_checks import check_corpus

    corpus = read_corpus(data)
    problems = check_corpus(corpus)
    for problem in problems:
        typer.echo(str(problem))
    excused = sum(len(reasons) for reasons in corpus.exceptions.values())
    _say(f"{len(corpus.cases)} cases, {excused} exceptions with a reason, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@corpus_app.command("curve")
def corpus_curve(
    data: DataArgument = _FOLDER,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", help="Markdown file in which the learning curve between the markers is refreshed."
        ),
    ] = None,
) -> None:
    """Train on 10, 25, 50 and 100 % of the training authors; results on the test authors (minutes)."""
    from .corpus import read_corpus
    from .corpus_curve import learning_curve
    from .corpus_tables import curve_sheet, show_sheets, to_markdown, write_section

    corpus = read_corpus(data)
    train, test = (
        [c for c in corpus.cases if c.author in corpus.splits.get(name, ())] for name in ("train", "test")
    )
    sheet = curve_sheet(learning_curve(train, test, progress=_say))
    show_sheets([sheet])
    if write is not None:
        write_section(write, "curve", to_markdown([sheet]))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
