"""The labelled corpus of ``data``: read it with all its fields, and count what it holds.

`load_cases` in `cases` is what training needs; this module keeps what only the corpus itself is
asked about (look-alikes, unknown keys, files nobody assigned to a split) and collects problems
where `load_cases` stops at the first.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from .cases import Case
from .errors import InputError
from .taxonomy import AGENT_SIGNALS, OUTSIDE_STEPS, SIGNALS, Level, Signal, Status

__all__ = ["Corpus", "CorpusSummary", "Problem", "SignalCount", "looks_like", "read_corpus", "summarise"]

LONG = 30
_CASE_KEYS = frozenset({"id", "turns", "author"})
_CONVERSATION_KEYS = _CASE_KEYS | {"risk_level", "topic", "industry", "channel", "style", "note"}
_TURN_KEYS = frozenset({"speaker", "text", "time", "recalled", "signals", "looks_like"})
_MENTIONS = (Status.DENIED, Status.ASKED, Status.REPORTED)
_BOTH_WAYS = (Signal.SELF_HARM, Signal.VIOLENCE_THREAT, Signal.AGENT_ABUSE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a check found: of what kind, where, and what to do about it."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


@dataclass(frozen=True, eq=False)
class Corpus:
    """The cases of a folder with what the folder says about them.

    Attributes
    ----------
    cases : tuple of Case
        Their `meta` holds ``looks_like``: one frozenset of signals a turn.
    splits : mapping of str to tuple of str
        The authors of each split.
    exceptions : mapping of str to mapping of str to str
        ``exceptions.toml``: by check, the ids that may depart from it, each with its reason.
    stock : tuple of str
        ``stock_phrases.toml``: greetings and scripts that many conversations may share.
    problems : tuple of Problem
        Lines that could not be read and keys that nobody knows.
    """

    cases: tuple[Case, ...]
    splits: Mapping[str, tuple[str, ...]]
    exceptions: Mapping[str, Mapping[str, str]]
    stock: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_corpus(folder: str | Path = "data") -> Corpus:
    """Read a corpus folder: ``cases/<author>.*.jsonl``, ``splits.toml`` and the two lists.

    Raises
    ------
    InputError
        When the folder holds no corpus, or one of its TOML files is not valid.
    """
    folder = Path(folder)
    paths = sorted((folder / "cases").glob("*.jsonl"))
    if not paths:
        raise InputError(
            "no corpus here", where=str(folder), expected="a folder with splits.toml and cases/*.jsonl", mend="name it: riskmodel corpus report FOLDER"
        )  # fmt: skip
    splits = {name: tuple(part["authors"]) for name, part in _toml(folder / "splits.toml").items()}
    stock = _toml(folder / "stock_phrases.toml", optional=True)
    problems: list[Problem] = []
    cases = [case for path in paths for case in _read_file(path, problems)]
    return Corpus(
        tuple(cases),
        splits,
        _toml(folder / "exceptions.toml", optional=True),
        tuple(chain.from_iterable(stock.values())),
        tuple(problems),
    )


def looks_like(case: Case) -> Sequence[frozenset[Signal]]:
    """Return, for each turn, the signals that it only resembles."""
    return case.meta.get("looks_like") or [frozenset()] * len(case.labels)


@dataclass(frozen=True, slots=True)
class SignalCount:
    """Where a signal stands: conversations and single utterances by status, and look-alikes of each."""

    conversations: Mapping[Status, int]
    utterances: Mapping[Status, int]
    similar_conversations: int
    similar_utterances: int

    @property
    def carried(self) -> int:
        """Utterances that carry the signal."""
        return self.utterances[Status.THREATENED] + self.utterances[Status.DONE]

    @property
    def harmless(self) -> int:
        """Utterances that look alike and do not count: resembling, denied, asked, reported."""
        return self.similar_utterances + sum(self.utterances[s] for s in _MENTIONS)


@dataclass(frozen=True, eq=False)
class CorpusSummary:
    """What a corpus holds; counts are of conversations where nothing else is said."""

    conversations: int
    utterances: int
    turns: int
    splits: Mapping[str, tuple[int, int, int]]  # authors, conversations, utterances
    split_of: Mapping[str, str]
    split_levels: Mapping[tuple[str, Level], int]
    levels: Mapping[Level, int]
    signals: Mapping[Signal, SignalCount]
    authors: Mapping[str, tuple[int, int]]  # conversations, utterances
    industries: Mapping[str, int]
    channels: Mapping[str, int]
    styles: Mapping[str, int]
    topics: Mapping[str, int]
    red_lines: Mapping[Signal, int]
    long: int
    ordinary: int
    ordinary_with_look_alike: int

    def figures(self) -> dict[str, float]:
        """Return the figures that the corpus is held to, by name; shares from 0 to 1."""
        n = max(1, self.conversations)
        counts = self.signals.values()
        return {
            "conversations": self.conversations,
            "utterances": self.utterances,
            "authors": len(self.authors),
            "industries": len(self.industries),
            "test authors": self.splits.get("test", (0, 0, 0))[0],
            "test conversations": self.splits.get("test", (0, 0, 0))[1],
            **{f"share of {lv.label}": self.levels.get(lv, 0) / n for lv in Level},
            "share by phone": self.channels.get("phone", 0) / n,
            "share with 30 turns and more": self.long / n,
            "share in Traditional characters": self.styles.get("traditional", 0) / n,
            "share of none and low with a look-alike": self.ordinary_with_look_alike / max(1, self.ordinary),
            "utterances that carry the rarest signal": min(c.carried for c in counts),
            "utterances that look like the rarest signal": min(c.harmless for c in counts),
            "utterances of the rarest step denied, asked or reported": min(
                self.signals[s].utterances[status] for s in OUTSIDE_STEPS for status in _MENTIONS
            ),
            "self_harm, violence_threat, agent_abuse: carried": min(
                self.signals[s].carried for s in _BOTH_WAYS
            ),
            "self_harm, violence_threat, agent_abuse: look-alikes": min(
                self.signals[s].harmless for s in _BOTH_WAYS
            ),
            "conversations with the rarest red line": min(self.red_lines.values()),
        }


def summarise(cases: Iterable[Case], splits: Mapping[str, Sequence[str]] | None = None) -> CorpusSummary:
    """Count what a corpus holds.

    Parameters
    ----------
    cases : iterable of Case
        As `read_corpus` returns them: without ``looks_like`` in `meta` there are no look-alikes.
    splits : mapping, optional
        The authors of each split.
    """
    cases = list(cases)
    whole = [c for c in cases if not c.is_utterance]
    single = [c for c in cases if c.is_utterance]
    split_of = {author: name for name, authors in (splits or {}).items() for author in authors}
    by_author = {
        a: (sum(c.author == a for c in whole), sum(c.author == a for c in single))
        for a in sorted({c.author for c in cases})
    }
    carried, single_carried = (Counter(chain.from_iterable(map(_labels, part))) for part in (whole, single))
    similar, single_similar = (Counter(chain.from_iterable(map(_similar, part))) for part in (whole, single))
    ordinary = [c for c in whole if c.level is not None and c.level <= Level.LOW]
    return CorpusSummary(
        conversations=len(whole),
        utterances=len(single),
        turns=sum(len(c.labels) for c in cases),
        splits={
            name: (
                len([a for a in authors if a in by_author]),
                sum(by_author.get(a, (0, 0))[0] for a in authors),
                sum(by_author.get(a, (0, 0))[1] for a in authors),
            )
            for name, authors in (splits or {}).items()
        },
        split_of=split_of,
        split_levels=Counter((split_of.get(c.author, ""), c.level) for c in whole if c.level is not None),
        levels=Counter(c.level for c in whole if c.level is not None),
        signals={
            s: SignalCount(
                {st: carried[s, st] for st in Status},
                {st: single_carried[s, st] for st in Status},
                similar[s],
                single_similar[s],
            )
            for s in SIGNALS
        },
        authors=by_author,
        industries=Counter(str(c.meta.get("industry")) for c in whole),
        channels=Counter(c.conversation.channel or "" for c in whole),
        styles=Counter(chain.from_iterable(c.meta.get("style", ()) for c in whole)),
        topics=Counter(c.topic.value for c in whole if c.topic is not None),
        red_lines={
            s: sum(any((s, st) in _labels(c) for st in Status if st.counts) for c in whole)
            for s in AGENT_SIGNALS
        },
        long=sum(len(c.labels) >= LONG for c in whole),
        ordinary=len(ordinary),
        ordinary_with_look_alike=sum(
            bool(_similar(c)) or any(status in _MENTIONS for _, status in _labels(c)) for c in ordinary
        ),
    )


def _labels(case: Case) -> frozenset[tuple[Signal, Status]]:
    return frozenset(chain.from_iterable(labels or () for labels in case.labels))


def _similar(case: Case) -> frozenset[Signal]:
    return frozenset(chain.from_iterable(looks_like(case)))


def _toml(path: Path, optional: bool = False) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if optional:
            return {}
        raise InputError(
            "no such file", where=str(path), mend="write which authors are train, dev and test"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=str(path)) from None


def _read_file(path: Path, problems: list[Problem]) -> Iterator[Case]:
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            data = orjson.loads(line)
            case = Case.from_dict(data)
            resembled = tuple(
                frozenset(Signal(s) for s in turn.get("looks_like", ())) for turn in data["turns"]
            )
        except orjson.JSONDecodeError as error:
            problems.append(Problem("schema", where, f"not valid JSON ({error.msg})"))
            continue
        except (TypeError, ValueError) as error:
            problems.append(Problem("schema", where, str(error)))
            continue
        known = _CASE_KEYS if case.is_utterance else _CONVERSATION_KEYS
        unknown = sorted(
            (data.keys() - known) | {k for turn in data["turns"] for k in turn.keys() - _TURN_KEYS}
        )
        missing = sorted(known - data.keys() - {"note"})
        for what, keys in (("unknown key", unknown), ("missing key", missing)):
            if keys:
                problems.append(
                    Problem(
                        "schema",
                        f"{where}, {case.id}",
                        f"{what} {', '.join(keys)}; expected {', '.join(sorted(known))}",
                    )
                )
        if path.name.split(".")[0] != case.author:
            problems.append(
                Problem(
                    "schema",
                    f"{where}, {case.id}",
                    f"author is {case.author!r}, but the file is another author's",
                )
            )
        yield replace(case, meta={**case.meta, "looks_like": resembled})
