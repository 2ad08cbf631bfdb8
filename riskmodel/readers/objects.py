"""A JSON object that holds a whole conversation under other names than the contract's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..conversation import Conversation, Speaker, Turn
from .assemble import Entry, assemble
from .rejects import UNKNOWN_SPEAKER, Ledger
from .source import MAX_CELL
from .times import Clock, parse_time
from .wording import Names, key

__all__ = ["conversation_of", "has_turns", "text_of"]

_ABOUT = ("customer_id", "agent_id", "channel")


def has_turns(data: Mapping[str, Any], names: Names) -> bool:
    """Whether an object holds a list of turns."""
    return _turns_key(data, names) is not None


def conversation_of(
    data: Mapping[str, Any], names: Names, ledger: Ledger, line: int, stem: str
) -> Conversation | None:
    """Build a conversation; None, and a reject, when that cannot be done.

    Turns under the contract's own name ``turns`` keep their order; other lists are sorted by time.
    """
    where = _turns_key(data, names)
    keys = list(data)
    fields = {field: data[keys[i]] for field, i in names.columns(keys).items() if keys[i] != where}
    ident = _word(fields.get("id"))
    if where is None:
        ledger.reject(
            line,
            "turns",
            "no list of turns; expected turns, messages or 消息 with speaker and text",
            ident or None,
        )
        return None
    if not ident:
        if where == "turns":
            ledger.reject(line, "id", "the conversation has no id; expected a non-empty string")
            return None
        ident = f"{stem}-{line}"
    opened = parse_time(fields.get("opened_at")) or parse_time(fields.get("time"))
    clock = Clock(opened)
    entries: list[Entry] = []
    for n, item in enumerate(data[where]):
        entry = _entry(item, n, names, ledger, line, ident, clock)
        if entry is not None:
            entries.append(entry)
    if not entries:
        if not data[where]:
            ledger.reject(line, "turns", "the conversation is empty; expected at least one turn", ident)
        return None
    own = {
        where,
        "meta",
        *(keys[i] for f, i in names.columns(keys).items() if f in (*_ABOUT, "id", "opened_at")),
    }
    meta = dict(data["meta"]) if isinstance(data.get("meta"), Mapping) else {}
    meta.update((k, v) for k, v in data.items() if k not in own and v is not None)
    return assemble(
        ident,
        entries,
        ledger,
        **{f: _word(fields.get(f)) for f in _ABOUT},
        opened_at=opened,
        meta=meta,
        ordered=where == "turns",
    )


def text_of(value: Any) -> str | None:
    """Return the text of a message's body: a string, or an object that holds one."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        inner = next(
            (
                value[k]
                for k in ("text", "content", "value", "内容")
                if isinstance(value.get(k), (str, Mapping))
            ),
            None,
        )
        return text_of(inner)
    if isinstance(value, list):
        parts = [t for t in map(text_of, value) if t]
        return "\n".join(parts) or None
    return None


def _entry(
    item: Any, n: int, names: Names, ledger: Ledger, line: int, ident: str, clock: Clock
) -> Entry | None:
    if isinstance(item, str):
        return Entry(Turn(item), line)
    if isinstance(item, Sequence) and len(item) == 2 and all(isinstance(i, str) for i in item):
        item = {"speaker": item[0], "text": item[1]}  # [["客服", "…"], …]
    if not isinstance(item, Mapping):
        ledger.reject(
            line,
            f"turns[{n}]",
            f"a turn is a {type(item).__name__}; expected an object with speaker and text",
            ident,
        )
        return None
    keys = list(item)
    found = {field: item[keys[i]] for field, i in names.columns(keys).items()}
    text = text_of(found.get("text"))
    if text is None or (not text and "message_type" in found):
        text = names.placeholder(found.get("message_type")) or text
    if text is None:
        if not any(k in found for k in ("text", "message_type")):
            ledger.reject(
                line,
                f"turns[{n}].text",
                "a turn has no text; expected a string (an empty one is allowed)",
                ident,
            )
            return None
        text = ""
    if len(text) > MAX_CELL:
        ledger.reject(line, f"turns[{n}].text", f"the text has more than {MAX_CELL} characters", ident)
        return None
    name = found.get("speaker")
    if isinstance(name, Mapping):
        name = next((name[k] for k in ("role", "type", "name") if isinstance(name.get(k), str)), None)
    speaker = names.speaker(_word(name)) if name is not None else None
    if speaker is None:
        speaker = Speaker.UNKNOWN
        ledger.note(
            line,
            "speaker",
            UNKNOWN_SPEAKER,
            ident,
        )
    time = clock.read(found.get("time"))
    if time is None and found.get("time") not in (None, "") and not Clock.is_clock(found["time"]):
        ledger.note(line, "time", "the time cannot be read: the turn is kept without it", ident)
    return Entry(
        Turn(text, speaker, time, names.is_recalled(found.get("recalled"))),
        line,
        _word(found.get("message_id")),
    )


def _turns_key(data: Mapping[str, Any], names: Names) -> str | None:
    ranks = names.wording.columns["turns"]
    found = [
        (ranks[k], name)
        for name, value in data.items()
        if isinstance(value, list) and (k := key(str(name))) in ranks
    ]
    return min(found)[1] if found else None


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
