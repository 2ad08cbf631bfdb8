"""Mask personal data, with the same pseudonym for the same person or number throughout a conversation.

>>> mask_text("我叫张伟，电话13812045678，订单号2024070912315")
'我叫[姓名1]，电话[电话1]，订单号2024070912315'
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from .conversation import Conversation
from .personal import KINDS, PersonalSpan, find_kept, find_personal, fold

__all__ = ["KINDS", "PersonalSpan", "Pseudonyms", "find_kept", "find_personal", "mask", "mask_text"]

_MAX_NAMES = 64  # names that are looked for beyond their cue, a conversation
_SPOKEN = str.maketrans("幺一二三四五六七八九零〇两", "1123456789002")
_NUMBERS = frozenset({"phone", "id_card", "bank_card", "qq"})


class Pseudonyms:
    """What stands for whom in one conversation.

    A number has one pseudonym however it is written. A surname alone (王女士) and a full name that
    begins with it share one: the reader follows the talk, and two people of one surname are not told
    apart.
    """

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._people: dict[str, str] = {}  # surname → its first pseudonym
        self._full: set[str] = set()  # pseudonyms of people whose full name is known
        self._names: list[str] = []

    def token(self, span: PersonalSpan) -> str:
        """Return the pseudonym of a span's value, such as ``[电话1]``."""
        value = _value(span)
        key = (span.kind, value)
        known = self._tokens.get(key)
        if known is not None:
            return known
        token = self._person(value) if span.kind == "name" else None
        if token is None:
            number = self._counts[span.kind] = self._counts.get(span.kind, 0) + 1
            token = f"[{_words().get(span.kind, span.kind)}{number}]"
        self._tokens[key] = token
        if span.kind == "name":
            self._people.setdefault(_surname(value), token)
            if value != _surname(value):
                self._full.add(token)
                if len(self._names) < _MAX_NAMES:
                    self._names.append(value)
        return token

    def _person(self, value: str) -> str | None:
        """Return the pseudonym of the same person: a surname met as a full name, or the other way."""
        surname = _surname(value)
        token = self._people.get(surname)
        if token is None or value == surname:
            return token
        return None if token in self._full else token

    def learn(self, text: str) -> None:
        """Take in a text's names and numbers, so that they are known in texts before it too."""
        for span in find_personal(text):
            self.token(span)

    def spans(self, text: str) -> tuple[PersonalSpan, ...]:
        """Return the personal data of a text, with every full name met so far wherever it stands."""
        found = find_personal(text)
        if not self._names:
            return found
        taken = [(s.start, s.end) for s in found] + list(find_kept(text))
        more = [
            PersonalSpan("name", m.start(), m.end(), m[0])
            for m in re.finditer("|".join(map(re.escape, sorted(self._names, key=len, reverse=True))), text)
        ]
        return _without_overlaps(found, more, taken)


def mask_text(text: str, memory: Pseudonyms | None = None, keep_length: bool = False) -> str:
    """Return the text with personal data replaced.

    Parameters
    ----------
    memory : Pseudonyms, optional
        Who is called what so far; pass the same one for all texts of a conversation.
    keep_length : bool
        Fill or cut every pseudonym to the length of what it replaces, so that offsets stay valid.
    """
    memory = memory or Pseudonyms()
    return _replaced(text, memory.spans(text), memory, keep_length)


def mask(conversation: Conversation, keep_length: bool = False) -> Conversation:
    """Return the conversation with personal data masked in its turns, its ids of people and its meta.

    `id` stays: it is how results find their conversation. The first pass learns the names, so that
    one given late is masked in earlier turns too.
    """
    memory = Pseudonyms()
    for turn in conversation.turns:
        memory.learn(turn.text)
    meta = {k: _masked_value(v, memory, keep_length) for k, v in conversation.meta.items()}
    return replace(
        conversation,
        turns=tuple(replace(t, text=mask_text(t.text, memory, keep_length)) for t in conversation.turns),
        customer_id=_optional(conversation.customer_id, memory, keep_length),
        agent_id=_optional(conversation.agent_id, memory, keep_length),
        meta=MappingProxyType(meta),
    )


def _replaced(text: str, spans: Iterable[PersonalSpan], memory: Pseudonyms, keep_length: bool) -> str:
    parts, at = [], 0
    for span in spans:
        token = memory.token(span)
        parts.append(text[at : span.start])
        parts.append(_fitted(token, span.end - span.start) if keep_length else token)
        at = span.end
    return "".join(parts) + text[at:]


def _fitted(token: str, length: int) -> str:
    bare = token[1:-1]
    return bare.ljust(length, "＊") if len(bare) <= length else "＊" * length


def _optional(text: str | None, memory: Pseudonyms, keep_length: bool) -> str | None:
    return None if text is None else mask_text(text, memory, keep_length)


def _masked_value(value: Any, memory: Pseudonyms, keep_length: bool, depth: int = 0) -> Any:
    if isinstance(value, str):
        return mask_text(value, memory, keep_length)
    if depth >= 20:
        return None  # nobody nests an export's fields so deep; what is not looked at is not passed on
    if isinstance(value, Mapping):
        return {k: _masked_value(v, memory, keep_length, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked_value(v, memory, keep_length, depth + 1) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        masked = mask_text(str(value), memory, keep_length)
        return value if masked == str(value) else masked
    return value


def _without_overlaps(
    found: tuple[PersonalSpan, ...], more: list[PersonalSpan], taken: list[tuple[int, int]]
) -> tuple[PersonalSpan, ...]:
    taken.sort()
    kept, at = list(found), 0
    for span in more:
        while at < len(taken) and taken[at][1] <= span.start:
            at += 1
        if at == len(taken) or taken[at][0] >= span.end:
            kept.append(span)
    return tuple(sorted(kept, key=lambda s: s.start))


def _value(span: PersonalSpan) -> str:
    """Return what is the same about two spellings of one number or name."""
    plain = fold(span.text)
    if span.kind in _NUMBERS:
        digits = re.sub("[^0-9Xx]", "", plain.translate(_SPOKEN)).upper()
        return digits[-11:] if span.kind == "phone" and digits[-11:-10] == "1" else digits
    return re.sub("[ ·•.-]", "", plain).lower() if span.kind == "plate" else plain.lower()


def _surname(name: str) -> str:
    return name[:2] if name[:2] in _compounds() else name[:1]


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return tomllib.loads((files("riskmodel") / "resources/privacy.toml").read_text("utf-8"))


def _words() -> dict[str, str]:
    words: dict[str, str] = _data()["tokens"]
    return words


@lru_cache(maxsize=1)
def _compounds() -> frozenset[str]:
    return frozenset(_data()["names"]["compound"])
