"""What comes in: a conversation is an ordered list of turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import Any

from .errors import InputError

__all__ = ["Conversation", "Speaker", "Turn"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_OWN_KEYS = frozenset({"id", "turns", "customer_id", "agent_id", "channel", "opened_at", "meta"})


class Speaker(StrEnum):
    """Who says a turn. A bot's turn is `system`; nobody guesses an `unknown` one."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SYSTEM = "system"
    UNKNOWN = "unknown"


_SPEAKERS: dict[str, Speaker] = {s.value: s for s in Speaker}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message.

    Attributes
    ----------
    text : str
        The original text. Evidence offsets count its Unicode code points.
    speaker : Speaker
    time : str or None
        ISO 8601, where the source knows it.
    recalled : bool
        Withdrawn by its sender; where the text is still known it is evidence all the same.
    """

    text: str
    speaker: Speaker = Speaker.UNKNOWN
    time: str | None = None
    recalled: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Turn:
        """Build a turn from the contract's JSON object."""
        if not isinstance(data, Mapping):
            raise InputError(f"a turn is a {type(data).__name__}", expected='an object {"speaker": …, "text": …}')
        text = data.get("text")
        if not isinstance(text, str):
            raise InputError(
                "a turn has no text" if text is None else f"text is a {type(text).__name__}",
                where="field text",
                expected="a string (an empty one is allowed)",
            )
        name = data.get("speaker")
        speaker = _SPEAKERS.get(name) if isinstance(name, str) else Speaker.UNKNOWN if name is None else None
        if speaker is None:
            raise InputError(
                f"unknown speaker of type {type(name).__name__}" if not isinstance(name, str) else f"unknown speaker {name[:20]!r}",
                where="field speaker",
                expected="customer, agent, system or unknown",
                mend="map the export's own names with --map, or leave the field out",
            )
        time = data.get("time")
        if time is not None and not isinstance(time, str):
            raise InputError(
                f"time is a {type(time).__name__}", where="field time", expected="an ISO 8601 string"
            )
        return cls(text, speaker, time, bool(data.get("recalled", False)))

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        out: dict[str, Any] = {"speaker": self.speaker.value, "text": self.text}
        if self.time is not None:
            out["time"] = self.time
        if self.recalled:
            out["recalled"] = True
        return out


@dataclass(frozen=True, slots=True)
class Conversation:
    """One contact between a customer and a company.

    It has no length and no items on purpose: numpy would take a list of such objects for a table.
    """

    id: str
    turns: tuple[Turn, ...]
    customer_id: str | None = None
    agent_id: str | None = None
    channel: str | None = None
    opened_at: str | None = None
    meta: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, hash=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Conversation:
        """Build a conversation from the contract's JSON object; unknown keys are kept in `meta`.

        Raises
        ------
        InputError
            Naming the field, what was expected and how to mend it.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"a conversation is a {type(data).__name__}", expected="a JSON object")
        ident = data.get("id")
        if isinstance(ident, int) and not isinstance(ident, bool):
            ident = str(ident)
        if not isinstance(ident, str) or not ident:
            raise InputError("a conversation has no id", where="field id", expected="a non-empty string")
        turns = data.get("turns")
        if not isinstance(turns, (list, tuple)):
            raise InputError(
                "a conversation has no turns",
                where=f"conversation {ident}, field turns",
                expected="a list of objects with speaker and text",
            )
        if not turns:
            raise InputError(
                "the conversation is empty",
                where=f"conversation {ident}, field turns",
                expected="at least one turn",
                mend="leave conversations without messages out of the export",
            )
        built: list[Turn] = []
        for i, turn in enumerate(turns):
            try:
                built.append(Turn.from_dict(turn))
            except InputError as error:
                raise error.at(f"conversation {ident}, turn {i}") from None
        meta = dict(data.get("meta") or {}) if isinstance(data.get("meta"), (Mapping, type(None))) else {"meta": data["meta"]}
        meta.update((k, v) for k, v in data.items() if k not in _OWN_KEYS)
        return cls(
            ident,
            tuple(built),
            _optional(data, "customer_id", ident),
            _optional(data, "agent_id", ident),
            _optional(data, "channel", ident),
            _optional(data, "opened_at", ident),
            MappingProxyType(meta) if meta else _EMPTY,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        out: dict[str, Any] = {"id": self.id, "turns": [t.to_dict() for t in self.turns]}
        for key in ("customer_id", "agent_id", "channel", "opened_at"):
            value = getattr(self, key)
            if value is not None:
                out[key] = value
        out.update(self.meta)
        return out

    def prefix(self, n_turns: int) -> Conversation:
        """Return the conversation as it stood after its first `n_turns` turns."""
        return Conversation(
            self.id, self.turns[:n_turns], self.customer_id, self.agent_id, self.channel, self.opened_at, self.meta
        )

    def _repr_html_(self) -> str:
        """Return the talk as a notebook shows it, personal data masked."""
        # The one look upwards, taken only when a notebook asks: what is drawn needs masking and wording.
        return str(import_module("riskmodel.display").html(self))

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy cannot be pickled; the plain dict it shows can.
        return (
            _rebuild,
            (self.id, self.turns, self.customer_id, self.agent_id, self.channel, self.opened_at, dict(self.meta)),
        )


def _rebuild(ident: str, turns: tuple[Turn, ...], *rest: Any) -> Conversation:
    customer_id, agent_id, channel, opened_at, meta = rest
    return Conversation(ident, turns, customer_id, agent_id, channel, opened_at, MappingProxyType(meta) if meta else _EMPTY)


def _optional(data: Mapping[str, Any], key: str, ident: str) -> str | None:
    value = data.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InputError(
        f"{key} is a {type(value).__name__}", where=f"conversation {ident}, field {key}", expected="a string"
    )
