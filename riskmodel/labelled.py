"""Labelled tables: one conversation a row, a text column and a label of two values or of the four levels.

`read_labelled` reads a file into a frame, `frame_cases` makes cases of any frame. The words for columns
and labels are data (``resources/training.toml``).
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cases import Case
from .conversation import Conversation
from .errors import InputError, LabelError
from .readers import Reject
from .readers.raw import conversation_of_text, read_raw
from .readers.wording import Names, key
from .taxonomy import Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LabelScheme", "find_scheme", "frame_cases", "frame_conversations", "read_labelled", "transcript_text"]

_SHOWN = 8
_LONG = 24


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """What a table's labels mean.

    Attributes
    ----------
    kind : {'binary', 'ordinal'}
        Of a binary label, yes is `high` and no is `none`.
    levels : mapping
        Label as written → level.
    """

    kind: str
    levels: Mapping[str, Level]


def find_scheme(values: Iterable[str], own: Mapping[str, str] | None = None, where: str = "labels") -> LabelScheme:
    """Find out what labels mean.

    Parameters
    ----------
    values : iterable of str
        Every row's label.
    own : mapping, optional
        The table's own names → levels; what it does not name is read as usual.

    Raises
    ------
    LabelError
        When a label is not known. Its message names labels only where they are short and few.
    """
    counts = Counter(values)
    words = _words()
    mapped = {key(name): _level(target, where) for name, target in (own or {}).items()}
    rest = [v for v in counts if key(v) not in mapped]
    for kind, known in (("binary", words.binary), ("ordinal", words.ordinal)):
        if all(key(v) in known for v in rest):
            levels = {v: mapped[key(v)] if key(v) in mapped else known[key(v)] for v in counts}
            if mapped:
                kind = "binary" if set(levels.values()) <= {Level.NONE, Level.HIGH} else "ordinal"
            return LabelScheme(kind, levels)
    raise _unknown(counts, [v for v in rest if key(v) not in words.ordinal and key(v) not in words.binary] or rest, where)


def _level(name: str, where: str) -> Level:
    try:
        found = _words().ordinal.get(key(name))
        return found if found is not None else Level.parse(name)
    except LabelError:
        raise LabelError(
            f"a label is mapped to {name[:20]!r}", where=where, expected="none, low, high or critical", mend="--labels 差评=high,好评=none"
        ) from None


def _unknown(counts: Counter[str], bad: Sequence[str], where: str) -> LabelError:
    expected = "0/1, 是/否, 0 to 3, none/low/high/critical or 正常/不满/升级风险/疑似危机"
    if len(counts) > 20 or any(len(v) > _LONG for v in counts):
        return LabelError(
            f"{len(counts)} different values: this hardly is the column of labels", where=where, expected=expected,
            mend="name the right column with --label",
        )  # fmt: skip
    listed = ", ".join(f"{v!r} ({counts[v]} rows)" for v in bad[:_SHOWN])
    return LabelError(
        f"unknown label {listed}", where=where, expected=expected,
        mend="say what it means: --labels " + ",".join(f"{v}=high" for v in bad[:2]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Words:
    columns: Mapping[str, Sequence[str]]
    ordinal: Mapping[str, Level]
    binary: Mapping[str, Level]
    speakers: Mapping[str, str]


@lru_cache(maxsize=1)
def _words() -> _Words:
    data = tomllib.loads((files("riskmodel") / "resources/training.toml").read_text("utf-8"))
    ordinal = {key(w): Level[name.upper()] for name, words in data["labels"].items() for w in words}
    binary = {key(w): Level.NONE for w in data["binary"]["no"]} | {key(w): Level.HIGH for w in data["binary"]["yes"]}
    return _Words(data["columns"], ordinal, binary, data["speakers"])


def read_labelled(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    id: str | None = None,
    labels: Mapping[str, str] | None = None,
    encoding: str | None = None,
    rejects: Callable[[Reject], None] | None = None,
) -> pd.DataFrame:
    """Read a labelled table.

    Parameters
    ----------
    path : path
        .csv, .tsv, .xlsx, .parquet or .jsonl; the encoding is recognised.
    text, label, group, id : str, optional
        Names of the columns; found by their usual names where they are not given. Without an id rows are
        numbered by their line.
    labels : mapping, optional
        Own names of labels → levels.
    rejects : callable, optional
        Takes a record for each row left out: without text, without label, damaged.

    Returns
    -------
    DataFrame
        Columns id, text, label, level (name of the level) and, where there is one, group.
        ``attrs["kind"]`` is ``binary`` or ``ordinal``.

    Raises
    ------
    InputError
        When a column is missing, a label unknown or an id stands twice.
    """
    import pandas as pd

    name = str(path)
    asked = {"text": text, "label": label, "group": group, "id": id}
    rows = read_raw(path, (text,) if text else (), rejects=rejects, encoding=encoding)
    _, header = next(rows, (0, []))
    at = _find_columns([str(h).strip() if h is not None else "" for h in header], asked, name)
    found: dict[str, list[str]] = {"id": [], "text": [], "label": [], "group": []}
    lines: dict[str, list[int]] = {}
    stem = Path(name).stem
    for line, cells in rows:
        words, mark = _text_cell(cells[at["text"]]), _cell(cells[at["label"]])
        problem = ("text", "the row has no text") if not words.strip() else ("label", "the row has no label") if not mark else None
        ident = _cell(cells[at["id"]]) if "id" in at else f"{stem}-{line}"
        if problem or not ident:
            field, reason = problem or ("id", "the row has no id")
            if rejects is not None:
                rejects(Reject(name, line, field, reason, ident or None))
            continue
        lines.setdefault(ident, []).append(line)
        found["id"].append(ident)
        found["text"].append(words)
        found["label"].append(mark)
        found["group"].append(_cell(cells[at["group"]]) if "group" in at else "")
    if not found["id"]:
        raise InputError("no row has a text and a label", where=name, mend="look whether --text and --label name the right columns")
    double = next((i for i, where in lines.items() if len(where) > 1), None)
    if double is not None:
        repeated = sum(len(where) > 1 for where in lines.values())
        raise InputError(
            f"{repeated} ids stand on several rows, {double[:40]!r} on lines {', '.join(map(str, lines[double][:5]))}",
            where=f"{name}, column {header[at['id']]}",
            expected="one row a conversation",
            mend="put a conversation's messages into one cell (客户：… 客服：…), or name another column with --id",
        )
    scheme = find_scheme(found["label"], labels, f"{name}, column {header[at['label']]}")
    frame = pd.DataFrame({"id": found["id"], "text": found["text"], "label": found["label"]})
    frame["level"] = [scheme.levels[v].label for v in found["label"]]
    if "group" in at:
        frame["group"] = found["group"]
    frame.attrs["kind"] = scheme.kind
    return frame


def _find_columns(header: Sequence[str], asked: Mapping[str, str | None], where: str) -> dict[str, int]:
    at: dict[str, int] = {}
    keys = [key(h) for h in header]
    for field in ("text", "label", "group", "id"):
        wanted = asked[field]
        if wanted is not None:
            exact = [i for i, h in enumerate(header) if h == wanted.strip()] or [i for i, k in enumerate(keys) if k == key(wanted)]
            if not exact:
                raise InputError(
                    f"there is no column {wanted!r}", where=where, expected="one of " + ", ".join(h[:20] for h in header if h)[:300],
                    mend=f"mend --{field}",
                )  # fmt: skip
            at[field] = exact[0]
            continue
        names = [key(n) for n in _words().columns[field]]
        match = next((keys.index(n) for n in names if n in keys and keys.index(n) not in at.values()), None)
        if match is not None:
            at[field] = match
        elif field == "text" and (i := Names().columns(header).get("text")) is not None:
            at[field] = i
        elif field == "text" and "turns" in header:
            at[field] = header.index("turns")
        elif field in ("text", "label"):
            raise InputError(
                f"no column of {field}s is recognised", where=f"{where}, header",
                expected="one of " + ", ".join(h[:20] for h in header if h)[:300], mend=f"name it: --{field} COLUMN",
            )  # fmt: skip
    return at


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    out = str(value).strip()
    return out.removesuffix(".0") if out[:-2].isdigit() and out.endswith(".0") else out


def _text_cell(value: Any) -> str:
    if isinstance(value, Conversation):
        return transcript_text(value)
    return value if isinstance(value, str) else _cell(value)


def transcript_text(conversation: Conversation) -> str:
    """Return a conversation as one text with a speaker before each turn, as the readers understand it."""
    names = _words().speakers
    return "\n".join(f"{names[t.speaker.value]}：{t.text}" for t in conversation.turns)


def frame_conversations(frame: pd.DataFrame, text: str = "text", id: str | None = "id") -> list[Conversation]:
    """Return each row's text as a conversation: a transcript, or one turn of a customer.

    Raises
    ------
    InputError
        When the column is missing or holds something else than text.
    """
    _require(frame, text)
    names = Names()
    idents = [str(i) for i in (frame[id] if id is not None and id in frame.columns else frame.index)]
    out = []
    for ident, words in zip(idents, frame[text].tolist(), strict=True):
        if words is not None and words == words and not isinstance(words, (str, int, float)):
            raise InputError(f"a {type(words).__name__} in column {text!r}", where=f"row {ident}", expected="text")
        out.append(conversation_of_text(ident or "row", _text_cell(words), names))
    return out


def frame_cases(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    label: str = "label",
    group: str | None = None,
    id: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[list[Case], LabelScheme]:
    """Return a labelled frame as cases without turn labels, and what the labels mean.

    Raises
    ------
    InputError
        When a column is missing, a text is empty, a label unknown or an id stands twice.
    """
    for column in (text, label, *([group] if group else []), *([id] if id else [])):
        _require(frame, column)
    marks = [_cell(v) for v in frame[label].tolist()]
    words = [_text_cell(v) for v in frame[text].tolist()]
    for what, values in ((text, words), (label, marks)):
        empty = [i for i, v in zip(frame.index, values, strict=True) if not v.strip()]
        if empty:
            raise InputError(
                f"{len(empty)} rows are empty in column {what!r}", where="rows " + ", ".join(map(str, empty[:5])), mend="drop or fill them"
            )
    scheme = find_scheme(marks, labels, f"column {label!r}")
    ident = id if id is not None else "id" if "id" in frame.columns else None
    made = frame_conversations(frame, text, ident)
    seen = Counter(c.id for c in made)
    double = next((i for i, n in seen.items() if n > 1), None)
    if double is not None:
        raise InputError(
            f"the id {double[:40]!r} stands {seen[double]} times", where="column id" if ident else "index", expected="one row a conversation"
        )
    groups = [_cell(v) for v in frame[group].tolist()] if group else [""] * len(made)
    cases = [
        Case(c, scheme.levels[mark], None, (None,) * len(c.turns), author)
        for c, mark, author in zip(made, marks, groups, strict=True)
    ]
    return cases, scheme


def _require(frame: pd.DataFrame, column: str) -> None:
    if column not in frame.columns:
        raise InputError(f"there is no column {column!r}", expected="one of " + ", ".join(str(c)[:20] for c in frame.columns)[:300])
