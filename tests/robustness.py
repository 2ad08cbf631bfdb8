"""How much recall is lost when the same thing is said otherwise: ``python -m tests.robustness [model folder]``.

Cases of three training authors are changed in the ways people change their words, and judged again:
said politely, among harmless turns, split over turns, disguised in five ways, and paraphrased by hand
(``data/robustness``). The loss is told in points of recall on the same cases, for conversations
(labelled high or critical, called so) and for signals of single turns. ``--write docs/robustness.md``
puts the tables, and those of fairness, between the page's marks.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path

import opencc

from riskmodel import Case, Conversation, Level, RiskModel, Speaker, Turn, load_model, read_cases

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "robustness"
AUTHORS = ("a09", "a13", "a15")
GOAL = 5.0
MARKS = ("<!-- measured -->", "<!-- end -->")

POLITE = (
    ("您好，不好意思打扰一下，", "，麻烦您了，谢谢"),
    ("辛苦您了，", "，祝您工作顺利"),
    ("请您理解一下，", "，谢谢您的耐心"),
    ("实在抱歉给您添麻烦，", "，感谢"),
)
HARMLESS = (
    ("customer", "在吗"), ("agent", "您好，在的，请讲"), ("customer", "想问下你们周末几点开门"), ("agent", "早上九点到晚上八点"),
    ("customer", "好的，停车方便吗"), ("agent", "地下车库可以停两小时"), ("customer", "另外发票抬头能改吗"), ("agent", "可以，您把新抬头发我就行"),
    ("customer", "行，我待会发你"), ("agent", "好的，不着急"), ("customer", "上次那个颜色还有货吗"), ("agent", "米白色还有，灰色要等下周"),
)  # fmt: skip


def _on_the_turn(change: Callable[[str, int], Sequence[str]]) -> Callable[[Case, int], Case]:
    """Make a change of cases from a change of the customer's turns that carry something."""

    def changed(case: Case, number: int) -> Case:
        turns: list[Turn] = []
        for turn, labels in zip(case.conversation.turns, case.labels, strict=True):
            carries = any(status.counts for _, status in labels or ()) and turn.speaker is Speaker.CUSTOMER
            turns.extend(replace(turn, text=t) for t in change(turn.text, number)) if carries else turns.append(turn)
        return replace(case, conversation=replace(case.conversation, turns=tuple(turns)))

    return changed


def polite(text: str, number: int) -> list[str]:
    """Wrap a text in courtesies."""
    before, after = POLITE[number % len(POLITE)]
    return [before + text.rstrip("。！!.") + after]


def split(text: str, number: int) -> list[str]:
    """Cut a text into bursts: at its commas, or in the middle."""
    parts = [p for p in re.split(r"(?<=[，。！？,!?；;])|\s+", text) if p]
    return parts if len(parts) > 1 or len(text) < 6 else [text[: len(text) // 2], text[len(text) // 2 :]]


def padded(case: Case, number: int) -> Case:
    """Put six harmless turns before a talk and six after it."""
    start = number % len(HARMLESS) // 2 * 2
    extra = [Turn(text, Speaker(who)) for who, text in islice(cycle(HARMLESS), start, start + len(HARMLESS))]
    turns = (*extra[:6], *case.conversation.turns, *extra[6:])
    return replace(case, conversation=replace(case.conversation, turns=turns))


@lru_cache(maxsize=1)
def words() -> dict[str, list[str]]:
    """Return the words that are disguised, the longest first."""
    found = tomllib.loads((DATA / "words.toml").read_text("utf-8"))["words"]
    return dict(sorted(found.items(), key=lambda kv: -len(kv[0])))


def disguised(how: int) -> Callable[[str, int], list[str]]:
    """Return a change that writes every listed word in its own way `how`."""

    def change(text: str, number: int) -> list[str]:
        for word, ways in words().items():
            text = text.replace(word, ways[how])
        return [text]

    return change


def with_signs(text: str, number: int) -> list[str]:
    """Put a sign between the characters of every listed word."""
    sign = ("*", ".", "\u200b", " ", "、")[number % 5]
    for word in words():
        text = text.replace(word, sign.join(word))
    return [text]


@lru_cache(maxsize=1)
def _traditional() -> opencc.OpenCC:
    return opencc.OpenCC("s2t")


def traditional(text: str, number: int) -> list[str]:
    """Write a text in Traditional characters."""
    return [_traditional().convert(text)]


CHANGES: dict[str, Callable[[Case, int], Case]] = {
    "politeness": _on_the_turn(polite),
    "padding": padded,
    "splitting": _on_the_turn(split),
    "disguise: signs between": _on_the_turn(with_signs),
    "disguise: Traditional": _on_the_turn(traditional),
    "disguise: pinyin": _on_the_turn(disguised(0)),
    "disguise: same sound": _on_the_turn(disguised(1)),
    "disguise: taken apart": _on_the_turn(disguised(2)),
}


@dataclass(frozen=True)
class Row:
    """Recall before and after one kind of change, in percent, over `n` things to find."""

    kind: str
    unit: str
    n: int
    before: float
    after: float

    @property
    def loss(self) -> float:
        return self.before - self.after


def cases() -> list[Case]:
    """Return the cases that are changed: something counts in each."""
    every = read_cases(ROOT / "data" / "cases" / f"{a}.{kind}.jsonl" for a in AUTHORS for kind in ("conversations", "utterances"))
    return [c for c in every if (_wanted(c) if c.is_utterance else c.level >= Level.HIGH)]


def _wanted(case: Case) -> set[str]:
    return {signal.value for labels in case.labels for signal, status in labels or () if status.counts}


def _found(model: RiskModel, chosen: Sequence[Case], conversations: Sequence[Conversation]) -> tuple[int, int]:
    """Return how many things were found, and how many there were to find."""
    hits = total = 0
    for case, result in zip(chosen, model.assess_many(conversations), strict=True):
        if case.is_utterance:
            wanted = _wanted(case)
            total += len(wanted)
            hits += sum(f.signal.value in wanted and f.status.counts and f.probability >= 0.5 for f in result.findings)
        else:
            total += 1
            hits += result.level >= Level.HIGH
    return hits, total


def _row(model: RiskModel, kind: str, unit: str, chosen: Sequence[Case], changed: Sequence[Conversation]) -> Row:
    before, n = _found(model, chosen, [c.conversation for c in chosen])
    after, _ = _found(model, chosen, changed)
    return Row(kind, unit, n, 100 * before / n, 100 * after / n)


def measure(model: RiskModel, every: Sequence[Case] | None = None) -> list[Row]:
    """Measure all kinds of change."""
    every = cases() if every is None else every
    by_id = {c.id: c for c in every}
    lines = (DATA / "paraphrases.tsv").read_text("utf-8").splitlines()
    pairs = [(by_id[i], text) for i, text in (line.split("\t") for line in lines) if i in by_id]
    said = [replace(c.conversation, turns=(*c.conversation.turns[:-1], replace(c.conversation.turns[-1], text=t))) for c, t in pairs]
    rows = [_row(model, "paraphrase by hand", "signals", [c for c, _ in pairs], said)]
    for kind, change in CHANGES.items():
        both = [(c, change(c, i)) for i, c in enumerate(every)]
        both = [(a, b) for a, b in both if a.conversation.turns != b.conversation.turns]
        for unit in ("conversations", "signals"):
            some = [(a, b) for a, b in both if a.is_utterance == (unit == "signals")]
            rows.append(_row(model, kind, unit, [a for a, _ in some], [b.conversation for _, b in some]))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = ["| change | of | n | recall before | after | loss, points |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.kind} | {r.unit} | {r.n} | {r.before:.1f} % | {r.after:.1f} % | {r.loss:+.1f}{' (over the goal)' if r.loss > GOAL else ''} |" for r in rows]
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page."""
    start, end = MARKS
    head, rest = page.read_text("utf-8").split(start)
    page.write_text(f"{head}{start}\n{text}\n{end}{rest.split(end)[1]}", "utf-8")


def train_without(folder: Path) -> Path:
    """Train a model that has not seen the authors whose cases are changed (minutes), unless it is there."""
    if not (folder / "card.json").exists():
        splits = tomllib.loads((ROOT / "data" / "splits.toml").read_text("utf-8"))
        train = [a for a in splits["train"]["authors"] if a not in AUTHORS]
        lines = ["[train]", f"authors = {train}", f"rules_written_with = {splits['train'].get('rules_written_with', [])}"]
        lines += ["[test]", f"authors = {[*splits['test']['authors'], *AUTHORS]}"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "splits.toml").write_text("\n".join(lines), "utf-8")
        files = [str(p) for a in train for p in sorted((ROOT / "data" / "cases").glob(f"{a}.*.jsonl"))]
        command = [sys.executable, "-c", "from riskmodel.cli import main; main()", "train", *files]
        subprocess.run([*command, "--splits", str(folder / "splits.toml"), "-o", str(folder)], check=True)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show, and write where asked."""
    from tests.fairness import suite

    parser = argparse.ArgumentParser(prog="python -m tests.robustness")
    parser.add_argument("model", nargs="?", help="folder of a model; the package's own by default")
    parser.add_argument("--held-out", type=Path, help="measure robustness with a model in this folder, trained there without the changed authors")
    parser.add_argument("--write", type=Path, help="page to put the tables into")
    given = parser.parse_args(arguments)
    model = load_model(given.model)
    said = f"Model {model.ref.name} {model.ref.version}, digest `{model.ref.digest}`."
    parts = []
    if given.held_out:
        other = load_model(train_without(given.held_out))
        parts += ["### Robustness, authors not learned from", f"Trained without {', '.join(AUTHORS)}; digest `{other.ref.digest}`.", table(measure(other))]
    parts += ["### Robustness, the model that is shipped" if not given.model else "### Robustness", said, table(measure(model))]
    outcomes = suite.run(model, suite.load())
    parts += ["### Fairness", said, suite.table(outcomes), "The largest differences:", "```\n" + "\n".join(suite.worst(outcomes)) + "\n```"]
    print("\n\n".join(parts))
    if given.write:
        write(given.write, "\n\n".join(parts))


if __name__ == "__main__":
    main()
