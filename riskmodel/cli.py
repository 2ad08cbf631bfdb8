"""The command line: ``riskmodel score | train | evaluate | compare | report | mask | rules | corpus``.

Results go to standard output or ``-o``, words to standard error. Exit status: 0 fine, 1 some rows
were rejected (or a check failed), 2 the call or the input cannot be used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_learning import compare, evaluate, train
from .corpus_cli import corpus_app
from .errors import RiskModelError

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
rules_app = typer.Typer(no_args_is_help=True, help="Check and measure the rules.")
app.add_typer(rules_app, name="rules")
app.add_typer(corpus_app, name="corpus")
for _command in (train, evaluate, compare):
    app.command()(_command)

ModelOption = Annotated[Path | None, typer.Option("--model", help="Model folder; the package's own by default.")]
LangOption = Annotated[str | None, typer.Option("--lang", help="zh or en; by locale, else Chinese.")]


def main() -> None:
    """Run the command line; turn errors a user can mend into words and exit status 2."""
    try:
        status = app(standalone_mode=False)  # click returns the code of a raised Exit
        sys.exit(status if isinstance(status, int) else 0)
    except RiskModelError as error:
        _say(f"riskmodel: {error}")
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        if error.__class__.__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
            _say(f"riskmodel: {error.format_message()}")
            sys.exit(2)
        raise


@app.command()
def score(
    inputs: Annotated[list[str], typer.Argument(help="Files to score; - is standard input.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Scored file: .jsonl, .json, .csv, .xlsx or .parquet.")] = None,
    format: Annotated[str, typer.Option("--format", help="auto, or the format of the input.")] = "auto",
    map: Annotated[str | None, typer.Option("--map", help="Own column names: 会话ID=id,内容=text,发送方=speaker")] = None,
    model: ModelOption = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy file in place of the model's own.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 1,
    explain: Annotated[bool, typer.Option("--explain", help="Tell reasons down to single words.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    rejects: Annotated[Path | None, typer.Option("--rejects", help="Where rejected rows are listed (JSON Lines).")] = None,
    table: Annotated[bool, typer.Option("--table", help="Show the riskiest conversations as a table.")] = False,
    lang: LangOption = None,
) -> None:
    """Score transcripts: level, risk, the words that say so, and who must be told by when."""
    import orjson

    from .artifact import load_model
    from .batch import score_file, score_lines
    from .policy import load_policy
    from .readers import Reject, parse_columns, read_conversations
    from .show import show_rejects, show_summary, show_table
    from .wording import language

    chosen = load_policy(policy) if policy else None
    loaded = load_model(model, policy=chosen)
    columns = parse_columns(map) if map else None
    bad: list[Reject] = []
    conversations = chain.from_iterable(
        read_conversations(path, format, columns, bad.append) for path in inputs
    )
    tongue = language(lang)
    if output is None:
        for line in score_lines(conversations, loaded, jobs=jobs, model_path=_text(model), policy=chosen, explain=explain):
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    else:
        with _progress() as progress:
            summary = score_file(
                conversations, output, loaded, jobs=jobs, model_path=_text(model), policy=chosen, explain=explain,
                resume=resume, rejected=lambda: sum(not r.kept for r in bad), progress=progress,
            )  # fmt: skip
        if table:
            show_table(output, tongue)
        show_summary(summary, output, tongue)
    if bad:
        if rejects:
            rejects.write_bytes(b"".join(orjson.dumps(asdict(r)) + b"\n" for r in bad))
        show_rejects(bad, tongue)
        if any(not r.kept for r in bad):
            raise typer.Exit(1)


@app.command()
def report(
    scored: Annotated[Path, typer.Argument(help="A scored .jsonl file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The report: one self-contained .html file.")],
    transcripts: Annotated[list[str] | None, typer.Option("--transcripts", help="The scored input, to show conversations in full (may be given several times).")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy the file was scored with, if not the default.")] = None,
    names: Annotated[bool, typer.Option("--names/--mask", help="Show personal data; masked by default.")] = False,
    lang: LangOption = None,
) -> None:
    """Write an HTML report of a scored file."""
    from .policy import load_policy
    from .readers import read_conversations
    from .report import write_report
    from .wording import language

    conversations = chain.from_iterable(map(read_conversations, transcripts)) if transcripts else None
    chosen = load_policy(policy) if policy else None
    write_report(scored, conversations, output, lang=language(lang), mask=not names, policy=chosen)
    _say(f"{output}")


@app.command()
def mask(
    inputs: Annotated[list[str], typer.Argument(help="Transcripts; - is standard input.")],
    format: Annotated[str, typer.Option("--format", help="auto, or the format of the input.")] = "auto",
) -> None:
    """Write transcripts as JSON Lines with personal data masked."""
    import orjson

    from .privacy import mask as mask_conversation
    from .readers import read_conversations

    for conversation in chain.from_iterable(read_conversations(path, format) for path in inputs):
        sys.stdout.buffer.write(orjson.dumps(mask_conversation(conversation).to_dict()) + b"\n")


@rules_app.command("check")
def rules_check(
    folder: Annotated[Path | None, typer.Argument(help="Folder of rule files; the package's own by default.")] = None,
) -> None:
    """Run every rule's examples."""
    from .lexicon import default_lexicon, load_lexicon
    from .rules import check_rules

    lexicon = load_lexicon(folder) if folder else default_lexicon()
    failures = check_rules(lexicon)
    for failure in failures:
        typer.echo(str(failure))
    _say(f"{len(lexicon.rules)} rules, {sum(len(r.match) + len(r.no_match) for r in lexicon.rules)} examples, {len(failures)} failures")
    if failures:
        raise typer.Exit(1)


@rules_app.command("report")
def rules_report(
    labelled: Annotated[list[Path], typer.Argument(help="Labelled cases (JSON Lines).")],
    folder: Annotated[Path | None, typer.Option("--rules", help="Folder of rule files; the package's own by default.")] = None,
) -> None:
    """Measure every rule on labelled cases."""
    from .cases import read_cases
    from .lexicon import default_lexicon, load_lexicon
    from .rules import report_rules
    from .show import show_rules

    lexicon = load_lexicon(folder) if folder else default_lexicon()
    show_rules(*report_rules(lexicon, read_cases(labelled)))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


@contextmanager
def _progress() -> Iterator[Any]:
    """Show the rate on a terminal; be quiet otherwise."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def update(done: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0
            bar.update(task, completed=done, rate=f"{done / elapsed:,.0f}/s" if elapsed else "")

        yield update
