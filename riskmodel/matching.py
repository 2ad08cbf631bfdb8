"""Finding the rules' words in a column of texts: one automaton over everything, then the guards.

What is found here depends on a text alone, so each distinct text of a batch is matched once; the
speaker, the turn before and the status are looked at afterwards, in `riskmodel.signals`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import ahocorasick_rs
import numba
import numpy as np

from .conversation import Speaker
from .disguise import all_spellings, number_spellings, sound_key, sound_table, trivial_surface
from .lexicon import Lexicon, Pattern, Rule
from .normalize import Kind, NormalizedTexts
from .segment import Segmenter

__all__ = ["AGENT_SAYS", "CUSTOMER_SAYS", "UNKNOWN_SAYS", "Match", "Matcher", "matcher_for"]

_PHRASE, _EXCLUDE, _NUMBER, _SPELLING = range(4)
CUSTOMER_SAYS, AGENT_SAYS, UNKNOWN_SAYS = 1, 2, 4
_SENTENCE_ENDS = "。！？!?；;"


class Match(NamedTuple):
    """Words of a normalised text that a rule finds; the span counts within that text."""

    rule: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int


class Matcher:
    """The rules of a lexicon, compiled.

    Parameters
    ----------
    lexicon : Lexicon
    segmenter : Segmenter, optional
        Where words begin and end, for the rules that ask.
    """

    def __init__(self, lexicon: Lexicon, segmenter: Segmenter | None = None) -> None:
        self.lexicon = lexicon
        self.segmenter = segmenter or Segmenter()
        owners: dict[str, list[tuple[int, int]]] = defaultdict(list)
        sounds: dict[str, list[tuple[int, str]]] = defaultdict(list)
        gates: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._patterns: list[tuple[int, Pattern, int]] = []
        for index, rule in enumerate(lexicon.rules):
            for role, words in ((_PHRASE, rule.phrases), (_EXCLUDE, rule.exclude)):
                for word in words:
                    owners[word].append((index, role))
            for pattern in rule.patterns:
                place = len(self._patterns)
                self._patterns.append((index, pattern, (1 << len(pattern.gates)) - 1))
                for k, gate in enumerate(pattern.gates):
                    for word in gate:
                        gates[word].append((place, 1 << k))
            for number in rule.numbers:
                for spelling in number_spellings(number):
                    owners[spelling].append((index, _NUMBER))
            if rule.disguise:
                for spelling in all_spellings(rule.phrases):
                    owners[spelling].append((index, _SPELLING))
                for word in rule.phrases:
                    if len(word) >= 2 and (key := sound_key(word)):
                        sounds[key].append((index, word))
        known = list(dict.fromkeys([*owners, *gates]))
        self._owners = [tuple(owners.get(w, ())) for w in known]
        heard_by = [_heard_by(rule) for rule in lexicon.rules]
        self._owned = np.array([_union(heard_by[r] for r, _ in owners.get(w, ())) for w in known] or [0], dtype=np.uint8)
        self._gates = _GateIndex(
            [gates.get(w, ()) for w in known],
            [every for _, _, every in self._patterns],
            [heard_by[index] for index, _, _ in self._patterns],
        )
        self._automaton = ahocorasick_rs.AhoCorasick(known or ["\0"])
        self._sounds = list(sounds.values())
        self._sound_automaton = ahocorasick_rs.AhoCorasick(list(sounds) or ["\0"])

    def match(self, column: NormalizedTexts, sides: np.ndarray[Any, Any] | None = None) -> dict[int, tuple[Match, ...]]:
        """Return the matches of each text that has any, in order of place.

        Parameters
        ----------
        column : NormalizedTexts
            Usually the distinct texts of a batch.
        sides : ndarray of uint8, optional
            Who says each text, as bits (`CUSTOMER_SAYS`, `AGENT_SAYS`, `UNKNOWN_SAYS`): only rules for
            them are tried. All by default.
        """
        if sides is None:
            sides = np.full(len(column), CUSTOMER_SAYS | AGENT_SAYS | UNKNOWN_SAYS, dtype=np.uint8)
        found = self._match_string(column, sides)
        joined, owner = _without_gaps(column)
        if joined is not None:
            for j, matches in self._match_string(joined, sides[[i for i, _ in owner]]).items():
                i, back = owner[j]
                texts = column.text(i)
                kept = []
                for m in matches:
                    start, end = int(back[m.start]), int(back[m.end - 1]) + 1
                    if end - start > m.end - m.start and _is_spaced_out(texts, start, end):
                        kept.append(Match(m.rule, start, end))
                if kept:
                    found[i] = tuple(sorted({*found.get(i, ()), *kept}, key=_place))
        return found

    def _match_string(self, column: NormalizedTexts, sides: np.ndarray[Any, Any]) -> dict[int, tuple[Match, ...]]:
        string = column.string
        found = self._automaton.find_matches_as_indexes(string, overlapping=True)
        per_text: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        opened: dict[int, list[int]] = defaultdict(list)
        if found:
            table = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found)).reshape(-1, 3)
            texts = column.which(table[:, 1])
            owned = np.flatnonzero(self._owned[table[:, 0]] & sides[texts])
            local = table[owned, 1:] - column.bounds[texts[owned]][:, None]
            for i, word, (start, end) in zip(texts[owned].tolist(), table[owned, 0].tolist(), local.tolist(), strict=True):
                per_text[i].append((word, start, end))
            for i, place in self._gates.opened(table[:, 0], texts, sides):
                opened[i].append(place)
        for i, index, start, end in self._by_sound(column):
            per_text[i].append((-1 - index, start, end))
        out: dict[int, tuple[Match, ...]] = {}
        for i in per_text.keys() | opened.keys():
            matches = self._resolve(column.text(i), per_text.get(i, ()), opened.get(i, ()))
            if matches:
                out[i] = matches
        return out

    def _by_sound(self, column: NormalizedTexts) -> Iterable[tuple[int, int, int, int]]:
        """Yield (text, rule, start, end) of words spelled with characters that sound alike."""
        if not self._sounds:
            return
        heard = sound_table()[column.codes].tobytes().decode("utf-32-le")
        string = column.string
        for key, start, end in self._sound_automaton.find_matches_as_indexes(heard, overlapping=True):
            surface = string[start:end]
            for index, word in self._sounds[key]:
                if surface == word or trivial_surface(surface, word):
                    continue
                i = int(column.which(np.array([start]))[0])
                base = int(column.bounds[i])
                if _made_of_words(self.segmenter.cut(column.text(i)), start - base, end - base):
                    continue
                yield i, index, start - base, end - base

    def _resolve(
        self, text: str, found: Sequence[tuple[int, int, int]], opened: Sequence[int]
    ) -> tuple[Match, ...]:
        rules = self.lexicon.rules
        voids: dict[int, list[_Hit]] = defaultdict(list)
        hits: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for word, start, end in found:
            if word < 0:
                hits[-1 - word].add((start, end))
                continue
            for index, role in self._owners[word]:
                if role == _PHRASE:
                    hits[index].add((start, end))
                elif role == _EXCLUDE:
                    voids[index].append(_Hit(start, end))
                elif role == _NUMBER:
                    if _stands_alone(text, start, end):
                        hits[index].add((start, end))
                elif role == _SPELLING and _letters_stand_alone(text, start, end):
                    hits[index].add((start, end))
        for place in opened:
            index, pattern, _ = self._patterns[place]
            for match in pattern.expression.finditer(text):
                if match.end() > match.start():
                    hits[index].add(match.span())
        if not hits:  # nothing but words that void
            return ()
        out: list[Match] = []
        words: set[int] | None = None
        for index, spans in hits.items():
            rule = rules[index]
            last_end = -1
            for start, end in sorted(spans, key=lambda s: (s[0], -s[1])):
                if end <= last_end:  # inside a longer hit of the same rule
                    continue
                if any(v.start < end and start < v.end and v.end - v.start >= 1 for v in voids.get(index, ())):
                    continue
                if rule.boundary:
                    if words is None:
                        words = _edges(self.segmenter.cut(text))
                    if start not in words or end not in words:
                        continue
                if not _guards_hold(rule, text, start, end):
                    continue
                out.append(Match(index, start, end))
                last_end = end
        out.sort(key=_place)
        return tuple(out)


class _GateIndex:
    """Which patterns have all their gates in a text, in one compiled pass over the words found."""

    def __init__(
        self, gates: Sequence[Sequence[tuple[int, int]]], every: Sequence[int], heard_by: Sequence[int]
    ) -> None:
        self._starts = np.zeros(len(gates) + 1, dtype=np.int64)
        np.cumsum([len(g) for g in gates], out=self._starts[1:])
        flat = [pair for g in gates for pair in g]
        self._places = np.array([p for p, _ in flat], dtype=np.int32)
        self._bits = np.array([b for _, b in flat], dtype=np.uint8)
        self._every = np.array(every, dtype=np.uint8)
        self._heard_by = np.array(heard_by, dtype=np.uint8)

    def opened(
        self, words: np.ndarray[Any, Any], texts: np.ndarray[Any, Any], sides: np.ndarray[Any, Any]
    ) -> list[tuple[int, int]]:
        """Return (text, pattern) for words found in order of place, hence of text."""
        found: list[tuple[int, int]] = _open(
            words, texts, sides, self._starts, self._places, self._bits, self._every, self._heard_by
        ).tolist()
        return found


@numba.njit(cache=True, nogil=True)
def _open(
    words: Any, texts: Any, sides: Any, starts: Any, places: Any, bits: Any, every: Any, heard_by: Any
) -> Any:
    out = np.empty((1024, 2), dtype=np.int64)
    n = 0
    seen = np.zeros(len(every), dtype=np.uint8)
    owner = np.full(len(every), -1, dtype=np.int64)
    for k in range(len(words)):
        for g in range(starts[words[k]], starts[words[k] + 1]):
            place = places[g]
            if not heard_by[place] & sides[texts[k]]:
                continue
            if owner[place] != texts[k]:
                owner[place] = texts[k]
                seen[place] = 0
            before = seen[place]
            seen[place] = before | bits[g]
            if seen[place] == every[place] and before != every[place]:
                if n == len(out):
                    larger = np.empty((2 * n, 2), dtype=np.int64)
                    larger[:n] = out
                    out = larger
                out[n, 0] = texts[k]
                out[n, 1] = place
                n += 1
    return out[:n]


def _heard_by(rule: Rule) -> int:
    if rule.speaker is None:
        return CUSTOMER_SAYS | AGENT_SAYS | UNKNOWN_SAYS
    return CUSTOMER_SAYS if rule.speaker is Speaker.CUSTOMER else AGENT_SAYS


def _union(bits: Iterable[int]) -> int:
    out = 0
    for b in bits:
        out |= b
    return out


@lru_cache(maxsize=4)
def matcher_for(lexicon: Lexicon) -> Matcher:
    """Return the compiled rules of a lexicon, made once in a process."""
    return Matcher(lexicon)


def _place(match: Match) -> tuple[int, int, int]:
    return match.start, -match.end, match.rule


def _guards_hold(rule: Rule, text: str, start: int, end: int) -> bool:
    if rule.whole_turn and any(c.isalnum() for c in text[:start] + text[end:]):
        return False
    if rule.near:
        around = text[max(0, start - rule.within) : start] + "\n" + text[end : end + rule.within]
        if not any(word in around for word in rule.near):
            return False
    if rule.unless:
        left = max((text.rfind(mark, 0, start) for mark in _SENTENCE_ENDS), default=-1) + 1
        ends = [p for mark in _SENTENCE_ENDS if (p := text.find(mark, end)) >= 0]
        sentence = text[max(left, start - 60) : min([*ends, end + 60]) + 1]
        if any(word in sentence for word in rule.unless):
            return False
    return True


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no digit touches the number: 12315 in an order number is not the hotline."""
    numerals = "0123456789一二三四五六七八九幺零两"
    before, after = text[start - 1 : start], text[end : end + 1]
    if before and (before in numerals or (before in "-.#" and text[start - 2 : start - 1].isdigit())):
        return False
    if after and after in numerals:
        return False
    if before and "a" <= before <= "z" and text[start].isdigit():  # a code such as sf12315
        return False
    return not (after and after in ".-:" and text[end + 1 : end + 2].isdigit())


def _letters_stand_alone(text: str, start: int, end: int) -> bool:
    def letter(char: str) -> bool:
        return "a" <= char <= "z"

    first, last = text[start], text[end - 1]
    return not (
        (letter(first) and letter(text[start - 1 : start] or " "))
        or (letter(last) and letter(text[end : end + 1] or " "))
    )


def _edges(words: Iterable[str]) -> set[int]:
    edges, at = {0}, 0
    for word in words:
        at += len(word)
        edges.add(at)
    return edges


def _made_of_words(words: Iterable[str], start: int, end: int) -> bool:
    """Whether a word of two or more characters overlaps the span: then it is ordinary text."""
    at = 0
    for word in words:
        if len(word) > 1 and at < end and at + len(word) > start:
            return True
        at += len(word)
    return False


def _without_gaps(column: NormalizedTexts) -> tuple[NormalizedTexts | None, list[tuple[int, np.ndarray[Any, Any]]]]:
    """Return the texts that hold spaces or symbols between characters, without these."""
    kinds = column.kinds
    gap = np.flatnonzero((kinds == Kind.GAP) | (kinds == Kind.EMOJI))
    if not len(gap):
        return None, []
    inside = gap[(gap > 0) & (gap < len(kinds) - 1)]
    inside = inside[(kinds[inside - 1] != Kind.SEPARATOR) & (kinds[np.minimum(inside + 1, len(kinds) - 1)] != Kind.SEPARATOR)]
    if not len(inside):
        return None, []
    owner: list[tuple[int, np.ndarray[Any, Any]]] = []
    parts: list[np.ndarray[Any, Any]] = []
    for i in np.unique(column.which(inside)).tolist():
        a, b = int(column.bounds[i]), int(column.bounds[i + 1])
        keep = np.flatnonzero((kinds[a:b] != Kind.GAP) & (kinds[a:b] != Kind.EMOJI))
        owner.append((i, keep))
        parts.append(column.codes[a:b][keep])
    bounds = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(p) for p in parts], out=bounds[1:])
    codes = np.concatenate(parts)
    return NormalizedTexts(codes, bounds, np.zeros(0, dtype=np.int32), None), owner


def _is_spaced_out(text: str, start: int, end: int) -> bool:
    """Whether the gaps inside ``text[start:end]`` take a word apart rather than part two words.

    垃 圾 and 垃*圾 are taken apart; in 我去 死机了 the space stands where a word ends.
    """
    pieces: list[str] = []
    for char in text[start:end]:
        if char.isalnum():
            if pieces and pieces[-1] and pieces[-1][-1].isalnum():
                pieces[-1] += char
            else:
                pieces.append(char)
        elif char != " ":
            if pieces and not char.isspace():
                return _single_around(text, start, end) or len(text[start:end]) <= 6
            pieces.append("")
        else:
            pieces.append("")
    solid = [p for p in pieces if p]
    return all(len(p) == 1 for p in solid) and _single_around(text, start, end)


def _single_around(text: str, start: int, end: int) -> bool:
    """Whether the first and the last piece are not the tail or head of longer words."""
    before, after = text[start - 1 : start], text[end : end + 1]
    inner = text[start:end]
    first_alone = not (before.isalnum() and len(inner) > 1 and not inner[1].isalnum())
    last_alone = not (after.isalnum() and len(inner) > 1 and not inner[-2].isalnum())
    return first_alone or last_alone
