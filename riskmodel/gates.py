"""Words without which a pattern cannot match: a pattern is tried only where all its gates stand.

One automaton finds every gate of every rule in a single pass; a regular expression is slow by
comparison, and most texts hold no gate at all.
"""

from __future__ import annotations

import math
import re
import re._parser as parser  # type: ignore[import-not-found]  # the standard library's own parser of expressions
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .disguise import everyday_rank

__all__ = ["alternatives", "gates_of"]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PLAIN_GROUP = re.compile(r"\((?:\?:|(?!\?))")
_FIRST = 0x100000  # private characters stand for the sets while the pattern is parsed
_MAX_WORDS = 3_000
_MAX_JOINED = 400
_COMMON = 4.0  # a gate that more than some two texts in a hundred characters pass is no gate
Words = frozenset[str]


def gates_of(pattern: str, sets: Mapping[str, Sequence[str]], at_most: int = 3) -> tuple[tuple[str, ...], ...]:
    """Return up to `at_most` groups of words; every match of the pattern holds a word of each group.

    Parameters
    ----------
    pattern : str
        With ``{name}`` for the sets.
    sets : mapping of str to words
    """
    names: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        return names.setdefault(match[1], chr(_FIRST + len(names)))

    tree = parser.parse(_PLACEHOLDER.sub(stand_in, pattern))
    members = {char: frozenset(sets[name]) for name, char in names.items()}
    found = [g for g in _required(tree, members) if g and len(g) <= _MAX_WORDS and "" not in g]
    found.sort(key=_rarity, reverse=True)
    # A second gate of everyday characters lets nearly everything through and costs time.
    kept = [g for k, g in enumerate(found[:at_most]) if k == 0 or _rarity(g) >= _COMMON]
    return tuple(tuple(sorted(g)) for g in kept)


def alternatives(pattern: str) -> list[str]:
    """Return the parts of a pattern that stand side by side at its top, parted by ``|``.

    Each has gates of its own, which are rarer than those of all together.
    """
    inner = pattern
    while (head := _PLAIN_GROUP.match(inner)) and _first_group_closes_last(inner):
        inner = inner[head.end() : -1]
    cuts = [k for k, char, depth in _syntax(inner) if char == "|" and depth == 0]
    return [inner[start + 1 : end] for start, end in zip([-1, *cuts], [*cuts, len(inner)], strict=True)]


def _first_group_closes_last(pattern: str) -> bool:
    closing = next((k for k, char, depth in _syntax(pattern) if char == ")" and depth == 0), -1)
    return closing == len(pattern) - 1


def _syntax(pattern: str) -> Iterator[tuple[int, str, int]]:
    """Yield (place, character, depth of groups) of what is neither escaped nor in a class.

    A parenthesis has the depth of what surrounds its group.
    """
    depth, k = 0, 0
    while k < len(pattern):
        char = pattern[k]
        if char == "\\":
            k += 1
        elif char == "[":
            k = pattern.index("]", k + 2)
        else:
            depth -= char == ")"
            yield k, char, depth
            depth += char == "("
        k += 1


def _required(tree: Any, sets: Mapping[str, Words]) -> list[Words]:
    """Return groups of which every text that the parsed pattern matches holds a word each.

    Parts that stand side by side and have few forms are joined, since 不(?:止|只) is rarer than 不.
    """
    out: list[Words] = []
    run: Words = frozenset({""})

    def close() -> None:
        nonlocal run
        if "" not in run:
            out.append(run)
        run = frozenset({""})

    for op, value in tree:
        forms = _forms(str(op), value, sets)
        if forms is not None:
            if len(run) * len(forms) > _MAX_JOINED:
                close()
            run = frozenset(a + b for a in run for b in forms)
            continue
        close()
        name = str(op)
        if name == "SUBPATTERN":
            out.extend(_required(value[-1], sets))
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, _, inner = value
            if low >= 1:
                out.extend(_required(inner, sets))
        elif name == "BRANCH":
            options = [_required(branch, sets) for branch in value[1]]
            if all(options):
                out.append(frozenset().union(*(max(o, key=_rarity) for o in options)))
    close()
    return out


def _forms(name: str, value: Any, sets: Mapping[str, Words]) -> Words | None:
    """Return all texts that a part of a pattern matches, when they are few; else None."""
    if name == "LITERAL":
        return sets.get(chr(value), frozenset({chr(value)}))
    if name == "IN":
        chars: set[str] = set()
        for op, v in value:
            if str(op) == "LITERAL":
                chars.update(sets.get(chr(v), {chr(v)}))
            elif str(op) == "RANGE" and v[1] - v[0] <= 10:
                chars.update(map(chr, range(v[0], v[1] + 1)))
            else:
                return None
        return frozenset(chars)
    if name == "SUBPATTERN":
        return _sequence(value[-1], sets)
    if name == "BRANCH":
        branches = [_sequence(branch, sets) for branch in value[1]]
        if any(b is None for b in branches):
            return None
        joined = frozenset().union(*(b for b in branches if b is not None))
        return joined if len(joined) <= _MAX_JOINED else None
    return None


def _sequence(tree: Any, sets: Mapping[str, Words]) -> Words | None:
    run: Words = frozenset({""})
    for op, value in tree:
        forms = _forms(str(op), value, sets)
        if forms is None or len(run) * len(forms) > _MAX_JOINED:
            return None
        run = frozenset(a + b for a in run for b in forms)
    return run


def _rarity(words: Words) -> float:
    """Return how rare it is that a text holds any word of a group: minus the logarithm of a guess.

    The guess takes characters as independent, with frequencies that fall with their rank.
    """
    return -math.log(sum(math.prod(map(_frequency, word)) * 8.0 ** (len(word) - 1) for word in words))


def _frequency(char: str) -> float:
    rank = everyday_rank(char)
    return 0.0008 if rank is None else max(0.03 / (1 + rank / 8), 0.001)
