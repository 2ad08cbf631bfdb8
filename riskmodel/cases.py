"""Labelled cases: the contract's JSON Lines with labels, and the corpus in ``data/cases``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from .conversation import Conversation
from .errors import InputError, LabelError
from .taxonomy import Level, Signal, Status, Topic, parse_label

__all__ = ["Case", "load_cases", "read_cases"]

Labels = frozenset[tuple[Signal, Status]]


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation with what is known of it.

    Attributes
    ----------
    conversation : Conversation
    level : Level or None
    topic : Topic or None
    labels : tuple, one entry a turn
        The turn's set of (signal, status), empty when it carries none, or None when nobody
        labelled the turn.
    author : str
        Who wrote or labelled the case: splits and cross-validation go by it.
    """

    conversation: Conversation
    level: Level | None
    topic: Topic | None
    labels: tuple[Labels | None, ...]
    author: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        return self.conversation.id

    @property
    def is_utterance(self) -> bool:
        """Whether only a single turn is labelled, not the conversation."""
        return self.level is None

    def _repr_html_(self) -> str:
        """Return the talk with its labels as a notebook shows it, personal data masked."""
        return str(import_module("riskmodel.display").html(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Case:
        """Build a case from the contract's labelled JSON object."""
        conversation = Conversation.from_dict(data)
        labels: list[Labels | None] = []
        for i, turn in enumerate(data["turns"]):
            names = turn.get("signals")
            try:
                labels.append(None if names is None else frozenset(map(parse_label, names)))
            except LabelError as error:
                raise error.at(f"conversation {conversation.id}, turn {i}, field signals") from None
        level = data.get("risk_level")
        topic = data.get("topic")
        try:
            return cls(
                conversation,
                None if level is None else Level.parse(level),
                None if topic is None else _topic(topic),
                tuple(labels),
                str(data.get("author", "")),
                {k: data[k] for k in ("industry", "channel", "style", "note") if k in data},
            )
        except LabelError as error:
            raise error.at(f"conversation {conversation.id}") from None


def read_cases(paths: Iterable[str | Path]) -> list[Case]:
    """Read labelled cases from JSON Lines files.

    Raises
    ------
    InputError
        Naming file, line and field of the first case that cannot be used.
    """
    return [case for path in paths for case in _read_file(Path(path))]


def load_cases(split: str | None = None, folder: str | Path = "data") -> list[Case]:
    """Load the corpus.

    Parameters
    ----------
    split : {'train', 'dev', 'test'}, optional
        By author, as ``splits.toml`` fixes it; all cases by default.
    folder : path
        Where ``splits.toml`` and ``cases/`` are.
    """
    folder = Path(folder)
    try:
        splits = tomllib.loads((folder / "splits.toml").read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            "no corpus here", where=str(folder), expected="a folder with splits.toml and cases/", mend="name it with folder="
        ) from None
    if split is not None and split not in splits:
        raise InputError(f"unknown split {split!r}", expected="one of " + ", ".join(splits))
    authors = [a for name in splits if split in (None, name) for a in splits[name]["authors"]]
    paths = [p for a in authors for p in sorted((folder / "cases").glob(f"{a}.*.jsonl"))]
    return read_cases(paths)


def _read_file(path: Path) -> Iterator[Case]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield Case.from_dict(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise InputError(f"not valid JSON ({error.msg})", where=f"{path}, line {number}") from None
        except InputError as error:
            raise error.at(f"{path}, line {number}") from None


def _topic(name: str) -> Topic:
    try:
        return Topic(name)
    except ValueError:
        raise LabelError(f"unknown topic {name!r}", where="field topic", expected="one of " + ", ".join(Topic)) from None
