"""``riskmodel train | evaluate | compare``: learn a model from labelled data, measure it, weigh it against another."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import InputError

if TYPE_CHECKING:
    from .cases import Case
    from .labelled import LabelScheme
    from .readers import Reject

__all__ = ["compare", "evaluate", "train"]

TextOption = Annotated[str | None, typer.Option("--text", help="Column of texts: of a plain table, one conversation a row.")]
LabelOption = Annotated[str | None, typer.Option("--label", help="Column of labels: 0/1, 是/否, 0 to 3, level names, or own names with --labels.")]
GroupOption = Annotated[str | None, typer.Option("--group", help="Column of groups (annotator, centre, week) that are held out together.")]
IdOption = Annotated[str | None, typer.Option("--id", help="Column of ids; rows are numbered without one.")]
LabelsOption = Annotated[str | None, typer.Option("--labels", help="Own names of labels: 差评=high,好评=none")]
ModelOption = Annotated[Path | None, typer.Option("--model", help="Model folder; the package's own by default.")]
LangOption = Annotated[str | None, typer.Option("--lang", help="zh or en; by locale, else Chinese.")]
ContactsOption = Annotated[float, typer.Option("--contacts-per-day", min=1, help="For alerts a day.")]
ShareOption = Annotated[float | None, typer.Option("--serious-share", min=0, max=1, help="Share of high and critical among the contacts; by default as among the cases.")]
RepeatsOption = Annotated[int, typer.Option("--repeats", min=10, help="Bootstrap samples behind each interval.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of everything that is left to chance.")]
OutOption = Annotated[Path | None, typer.Option("-o", "--output", help="Results as .json or as a self-contained .html; words are shown in any case.")]


def train(
    labelled: Annotated[list[Path], typer.Argument(help="Labelled cases (JSON Lines), or a table with --text and --label (csv, tsv, xlsx, parquet, jsonl).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the model.")],
    text: TextOption = None,
    label: LabelOption = None,
    group: GroupOption = None,
    id: IdOption = None,
    labels: LabelsOption = None,
    base: Annotated[Path | None, typer.Option("--base", help="Model whose tagger, rules and policy a table's model keeps; the package's own by default.")] = None,
    floors: Annotated[bool | None, typer.Option("--floors/--no-floors", help="Whether sure signals raise the level of a table's model; by default only where labels are the four levels.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy file.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
    splits: Annotated[Path | None, typer.Option("--splits", help="Splits file: learn from its training authors only.")] = None,
    pipeline: Annotated[bool, typer.Option("--pipeline", help="Save the scikit-learn pipeline too (joblib, for notebooks).")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Heads fitted at the same time, each in a process of its own; the result is the same to the last bit.")] = 1,
    seed: SeedOption = 0,
    lang: LangOption = None,
) -> None:
    """Learn a model from labelled cases, or from a plain table of texts and labels, and save it."""
    from threadpoolctl import threadpool_limits

    from .artifact import load_model, save_model
    from .policy import load_policy
    from .show_learning import show_card
    from .tagger import SignalTagger
    from .texts import train_on_levels
    from .training import train_model
    from .wording import language

    bad: list[Reject] = []
    cases, scheme = _read(labelled, text, label, group, id, labels, bad)
    chosen = load_policy(policy) if policy else None
    # One thread of linear algebra: sums in another order differ in the last bit.
    with threadpool_limits(1):
        if any(x is not None for c in cases for x in c.labels):
            tuned_on: tuple[str, ...] = ()
            if splits is not None:
                split = tomllib.loads(splits.read_text("utf-8"))["train"]
                cases = [c for c in cases if c.author in split["authors"]]
                tuned_on = tuple(split.get("rules_written_with", ()))
            tagger = SignalTagger(n_jobs=jobs, tuned_on=tuned_on)
            result = train_model(cases, name=name or "default", policy=chosen, tagger=tagger, progress=_say)
        else:
            if pipeline:
                raise InputError("a table's model has no scikit-learn pipeline", where="--pipeline", mend="leave it out")
            result = train_on_levels(
                cases, scheme, base=load_model(base, policy=chosen), name=name or "own", floors=floors, seed=seed, progress=_say
            )
    folder = save_model(result.model, output, pipeline=result.pipeline if pipeline else None)
    show_card(result.model.card, language(lang))
    _say(f"saved {folder}")
    _end(bad, lang)


def evaluate(
    labelled: Annotated[list[Path] | None, typer.Argument(help="Labelled cases (JSON Lines), or a table with --text and --label.")] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="Corpus folder: measure on its test authors, and compare with a keyword list and plain TF-IDF learned from its training authors.")] = None,
    model: ModelOption = None,
    output: OutOption = None,
    text: TextOption = None,
    label: LabelOption = None,
    group: GroupOption = None,
    id: IdOption = None,
    labels: LabelsOption = None,
    contacts_per_day: ContactsOption = 1000,
    serious_share: ShareOption = None,
    repeats: RepeatsOption = 1000,
    seed: SeedOption = 0,
    lang: LangOption = None,
) -> None:
    """Measure a model on labelled cases or on a labelled table."""
    from .artifact import load_model
    from .baselines import compare_baselines
    from .cases import load_cases
    from .evaluation_report import measure
    from .show import show_metrics
    from .show_learning import show_report
    from .wording import language

    if (corpus is None) == (not labelled):
        raise typer.BadParameter("name files of labelled cases, or a corpus with --corpus")
    bad: list[Reject] = []
    cases, scheme = (load_cases("test", corpus), None) if corpus else _read(labelled or [], text, label, group, id, labels, bad)
    loaded = load_model(model)
    binary = scheme is not None and scheme.kind == "binary"
    report = measure(
        loaded, cases, binary=binary, contacts_per_day=contacts_per_day, serious_share=serious_share, repeats=repeats, seed=seed
    )
    tongue = language(lang)
    show_report(report, tongue)
    rows: dict[str, Any] = {"riskmodel": report.metrics.to_dict()}
    if corpus:
        rows.update(compare_baselines(load_cases("train", corpus), cases))
        show_metrics(rows, tongue)
    _write(output, {**rows, "report": report.to_dict()}, lambda: report.html(tongue))
    _end(bad, lang)


def compare(
    a: Annotated[str, typer.Argument(help="The present model: a folder, or `default`.")],
    b: Annotated[str, typer.Argument(help="The candidate.")],
    labelled: Annotated[list[Path], typer.Option("--cases", help="Labelled cases or a labelled table (may be given several times).")],
    output: OutOption = None,
    require_no_regression: Annotated[bool, typer.Option("--require-no-regression", help="End with status 1 when the candidate loses recall on a critical slice.")] = False,
    text: TextOption = None,
    label: LabelOption = None,
    group: GroupOption = None,
    id: IdOption = None,
    labels: LabelsOption = None,
    contacts_per_day: ContactsOption = 1000,
    repeats: RepeatsOption = 1000,
    seed: SeedOption = 0,
    lang: LangOption = None,
) -> None:
    """Compare two models on the same cases: paired differences with intervals, and what the candidate would lose."""
    from .artifact import load_model
    from .evaluation_compare import compare as compare_models
    from .show_learning import show_comparison
    from .wording import language

    bad: list[Reject] = []
    cases, scheme = _read(labelled, text, label, group, id, labels, bad)
    present, candidate = (load_model(None if name == "default" and not Path(name).exists() else name) for name in (a, b))
    binary = scheme is not None and scheme.kind == "binary"
    found = compare_models(present, candidate, cases, names=(a, b), binary=binary, contacts_per_day=contacts_per_day, repeats=repeats, seed=seed)
    tongue = language(lang)
    show_comparison(found, tongue)
    _write(output, found.to_dict(), lambda: found.html(tongue))
    if require_no_regression and found.regressions():
        raise typer.Exit(1)
    _end(bad, lang)


def _read(
    paths: Sequence[Path], text: str | None, label: str | None, group: str | None, id: str | None, labels: str | None, bad: list[Reject]
) -> tuple[list[Case], LabelScheme | None]:
    """Read cases of the contract, or a table where columns are named or the file can be nothing else."""
    from .cases import read_cases

    if not any((text, label, labels, group, id)) and all(p.suffix in (".jsonl", ".ndjson", "") for p in paths):
        return read_cases(paths), None
    import pandas as pd

    from .labelled import frame_cases, read_labelled

    own = _pairs(labels)
    frames = [read_labelled(p, text=text, label=label, group=group, id=id, labels=own, rejects=bad.append) for p in paths]
    frame = pd.concat(frames, ignore_index=True)
    return frame_cases(frame, group="group" if "group" in frame.columns else None, id="id", labels=own)


def _pairs(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    out: dict[str, str] = {}
    for part in text.replace("，", ",").split(","):
        name, sign, level = part.partition("=")
        if not sign or not name.strip() or not level.strip():
            raise InputError(f"cannot understand {part.strip()[:40]!r}", where="--labels", expected="差评=high,好评=none")
        out[name.strip()] = level.strip()
    return out


def _write(output: Path | None, data: dict[str, Any], html: Any) -> None:
    if output is None:
        return
    import orjson

    if output.suffix not in (".json", ".html"):
        raise InputError(f"cannot write {output.suffix or 'a file without ending'}", where="-o", expected=".json or .html")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(html().encode() if output.suffix == ".html" else orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def _end(bad: Sequence[Reject], lang: str | None) -> None:
    """List the rows that were left out, and end with status 1 when there are any."""
    if not bad:
        return
    from .show import show_rejects
    from .wording import language

    show_rejects(bad, language(lang))
    if any(not r.kept for r in bad):
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
