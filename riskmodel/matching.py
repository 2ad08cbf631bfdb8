"""Finding the rules' words in a column of texts: one trie over everything, then the guards.

What is found here depends on a text alone, so each distinct text of a batch is matched once; the
speaker, the turn before and the status are looked at afterwards, in `riskmodel.signals`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .conversation import Speaker
from .disguise import all_spellings, number_spellings, sound_key, sound_table, trivial_surface
from .lexicon import Lexicon, Rule
from .normalize import Kind, NormalizedTexts, without_gaps
from .openings import Openings
from .segment import Segmenter
from .trie import WordFinder, expanded

__all__ = ["AGENT_SAYS", "CUSTOMER_SAYS", "UNKNOWN_SAYS", "Match", "Matcher", "matcher_for"]

Array = np.ndarray[Any, Any]

_PHRASE, _EXCLUDE, _NUMBER, _SPELLING = range(4)
CUSTOMER_SAYS, AGENT_SAYS, UNKNOWN_SAYS = 1, 2, 4
_SENTENCE_ENDS = "。！？!?；;"
_SENTENCE_END = re.compile(f"[{_SENTENCE_ENDS}]")
_SOLID = np.isin(np.arange(256), [Kind.HAN, Kind.LETTER, Kind.DIGIT])


class Match(NamedTuple):
    """Words of a normalised text that a rule finds; the span counts within that text."""

    rule: int
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
        rules = lexicon.rules
        self._heard_by = np.array([_heard_by(rule) for rule in rules], dtype=np.uint8)
        self._whole_turn = np.array([rule.whole_turn for rule in rules], dtype=bool)
        listed = [_listed(rule) for rule in rules]  # by rule, then by role
        words = [word for lists in listed for words in lists for word in words]
        sizes = np.array([[len(words) for words in lists] for lists in listed], dtype=np.int64).reshape(-1, 4)
        owner_rule = np.repeat(np.arange(len(rules)), sizes.sum(axis=1))
        owner_role = np.repeat(np.tile(np.arange(4), len(rules)), sizes.ravel())
        self._patterns = [pattern for rule in rules for pattern in rule.patterns]
        self._pattern_rule = np.repeat(np.arange(len(rules)), [len(rule.patterns) for rule in rules])
        gates = dict.fromkeys(gate for pattern in self._patterns for gate in pattern.gates)
        known = dict.fromkeys(chain(words, *gates))
        number = {word: i for i, word in enumerate(known)}
        self._finder = WordFinder(list(known))
        # Which rules own each word, and how: entries of word w are _owned[w]:_owned[w + 1].
        word_of = np.fromiter(map(number.__getitem__, words), dtype=np.int64, count=len(words))
        order = np.argsort(word_of, kind="stable")
        self._owned = np.searchsorted(word_of[order], np.arange(len(known) + 1))
        self._owns = self._owned[1:] > self._owned[:-1]
        self._owner_rule, self._owner_role = owner_rule[order], owner_role[order]
        self._openings = Openings(
            [p.gates for p in self._patterns], number, self._heard_by[self._pattern_rule]
        )
        self._sounds, self._sound_finder = _sounds(rules)

    def match(self, column: NormalizedTexts, sides: Array | None = None) -> dict[int, tuple[Match, ...]]:
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
        found = self._match_column(column, sides, None)
        joined, owner, back = without_gaps(column)
        if joined is None:
            return found
        for j, matches in self._match_column(joined, sides[owner], back).items():
            i = int(owner[j])
            text = column.text(i)
            base = int(joined.bounds[j])
            kept = []
            for m in matches:
                start, end = int(back[base + m.start]), int(back[base + m.end - 1]) + 1
                if _is_spaced_out(text, start, end):
                    kept.append(Match(m.rule, start, end))
            if kept:
                found[i] = tuple(sorted({*found.get(i, ()), *kept}, key=_place))
        return found

    def _match_column(self, column: NormalizedTexts, sides: Array, back: Array | None) -> dict[int, tuple[Match, ...]]:
        """Match a column as it stands.

        Parameters
        ----------
        back : ndarray, optional
            Where each character stood before gaps were taken out; then only hits over a gap are wanted.
        """
        word, start, end = self._finder.find(column.codes)
        text = column.owners[start]
        hits, voids = self._by_word(column, sides, word, text, start, end, back)
        hits.update(self._by_pattern(column, sides, word, text))
        hits.update(self._by_sound(column))
        if back is not None:
            hits = {h for h in hits if _covers_gap(h, column.bounds, back)}
        return self._resolve(column, hits, voids)

    def _by_word(
        self, column: NormalizedTexts, sides: Array, word: Array, text: Array, start: Array, end: Array, back: Array | None
    ) -> tuple[set[_Hit], dict[tuple[int, int], list[tuple[int, int]]]]:
        """Return the hits of listed words, and what voids hits, by text and rule."""
        owned = self._owns[word].nonzero()[0]
        if not len(owned):
            return set(), {}
        which, entry = expanded(self._owned[word[owned]], self._owned[word[owned] + 1])
        place = owned[which]
        rule, role = self._owner_rule[entry], self._owner_role[entry]
        wanted = (self._heard_by[rule] & sides[text[place]]) > 0
        if back is not None:
            wanted &= (role == _EXCLUDE) | (back[end[place] - 1] - back[start[place]] >= end[place] - start[place])
        alone = (wanted & self._whole_turn[rule]).nonzero()[0]
        if len(alone):  # most such words stand among others
            spans = place[alone]
            solid = np.concatenate([[0], np.cumsum(_SOLID[column.kinds])])
            others = np.diff(solid[column.bounds])[text[spans]] - (solid[end[spans]] - solid[start[spans]])
            wanted[alone[others > 0]] = False
        heard = wanted.nonzero()[0]
        place, rule, role = place[heard], rule[heard], role[heard]
        base = column.bounds[text[place]]
        hits: set[_Hit] = set()
        voids: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        rows = zip(
            text[place].tolist(), rule.tolist(), (start[place] - base).tolist(), (end[place] - base).tolist(), role.tolist(), strict=True
        )
        for i, r, a, b, kind in rows:
            if kind == _EXCLUDE:
                voids[i, r].append((a, b))
            elif kind == _PHRASE or (
                _stands_alone(column.text(i), a, b) if kind == _NUMBER else _letters_stand_alone(column.text(i), a, b)
            ):
                hits.add((i, r, a, b))
        return hits, voids

    def _by_pattern(self, column: NormalizedTexts, sides: Array, word: Array, text: Array) -> Iterable[_Hit]:
        """Yield the hits of expressions, tried where all their gates are open."""
        strings: dict[int, str] = {}
        for pattern, opened in self._openings.of(word, text, sides):
            expression = self._patterns[pattern].expression
            search, find = expression.search, expression.finditer
            rule = int(self._pattern_rule[pattern])
            for i in opened:
                string = strings.get(i)
                if string is None:
                    string = strings[i] = column.text(i)
                if search(string):  # rarely
                    for match in find(string):
                        start, end = match.span()
                        if end > start:
                            yield i, rule, start, end

    def _by_sound(self, column: NormalizedTexts) -> Iterable[_Hit]:
        """Yield the hits of words spelled with characters that sound alike."""
        if not self._sounds:
            return
        key, start, end = self._sound_finder.find(sound_table()[column.codes])
        for k, a, b in zip(key.tolist(), start.tolist(), end.tolist(), strict=True):
            surface = column.string[a:b]
            i = int(column.owners[a])
            base = int(column.bounds[i])
            for rule, word in self._sounds[k]:
                if surface == word or trivial_surface(surface, word):
                    continue
                part, shift = _around(column.text(i), a - base, b - base)
                if not _made_of_words(self.segmenter.cut(part), a - base - shift, b - base - shift):
                    yield i, rule, a - base, b - base

    def _resolve(
        self, column: NormalizedTexts, hits: Iterable[_Hit], voids: dict[tuple[int, int], list[tuple[int, int]]]
    ) -> dict[int, tuple[Match, ...]]:
        """Return the hits that the guards of their rules let pass, by text."""
        out: dict[int, list[Match]] = {}
        rules = self.lexicon.rules
        here = (-1, -1)
        last_end, count = -1, 0
        void: list[tuple[int, int]] = []
        for i, index, start, end in sorted(hits, key=_nested):
            if (i, index) != here:
                here, last_end, count = (i, index), -1, 0
                void = _furthest(voids.get(here, ()))
            elif end <= last_end or count == _MOST:  # inside a longer hit of the same rule
                continue
            if void and (before := bisect_left(void, (end,))) and void[before - 1][1] > start:
                continue
            rule = rules[index]
            text = column.text(i)
            if rule.boundary:
                part, shift = _around(text, start, end)
                edges = _edges(self.segmenter.cut(part))
                if start - shift not in edges or end - shift not in edges:
                    continue
            if not _guards_hold(rule, text, start, end):
                continue
            out.setdefault(i, []).append(Match(index, start, end))
            last_end = end
            count += 1
        return {i: tuple(sorted(matches, key=_place)) for i, matches in out.items()}


_LONG = 2_000  # characters: of longer texts the words around a hit are cut, not the whole text at every hit
_MOST = 200  # hits of one rule in one text: more are a flood, and tell no more
_Hit = tuple[int, int, int, int]  # text, rule, start, end


def _nested(hit: _Hit) -> _Hit:
    return hit[0], hit[1], hit[2], -hit[3]


def _furthest(voids: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where each void begins, rising, with how far it or one before it reaches."""
    out: list[tuple[int, int]] = []
    reach = -1
    for start, end in sorted(voids):
        reach = max(reach, end)
        out.append((start, reach))
    return out


def _around(text: str, start: int, end: int) -> tuple[str, int]:
    """Return the text, or of a long one the part around a hit, and where it begins."""
    if len(text) <= _LONG:
        return text, 0
    low = max(0, start - _LONG // 10)
    return text[low : end + _LONG // 10], low


def _covers_gap(hit: _Hit, bounds: Array, back: Array) -> bool:
    base = bounds[hit[0]]
    return bool(back[base + hit[3] - 1] - back[base + hit[2]] >= hit[3] - hit[2])


def _listed(rule: Rule) -> tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]:
    """Return the words of a rule: phrases, exclusions, numbers, other spellings."""
    return (
        rule.phrases,
        rule.exclude,
        [spelling for number in rule.numbers for spelling in number_spellings(number)],
        list(all_spellings(rule.phrases)) if rule.disguise else (),
    )


def _sounds(rules: Sequence[Rule]) -> tuple[list[list[tuple[int, str]]], WordFinder]:
    """Return what each listed sound may stand for, and what finds the sounds."""
    sounds: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, rule in enumerate(rules):
        for word in rule.phrases if rule.disguise else ():
            if len(word) >= 2 and (key := sound_key(word)):
                sounds[key].append((index, word))
    return list(sounds.values()), WordFinder(list(sounds))


def _heard_by(rule: Rule) -> int:
    if rule.speaker is None:
        return CUSTOMER_SAYS | AGENT_SAYS | UNKNOWN_SAYS
    return CUSTOMER_SAYS if rule.speaker is Speaker.CUSTOMER else AGENT_SAYS


@lru_cache(maxsize=4)
def matcher_for(lexicon: Lexicon) -> Matcher:
    """Return the compiled rules of a lexicon, made once in a process."""
    return Matcher(lexicon)


def _place(match: Match) -> tuple[int, int, int]:
    return match.start, -match.end, match.rule


def _guards_hold(rule: Rule, text: str, start: int, end: int) -> bool:
    if rule.whole_turn and (len(text) > _LONG or any(c.isalnum() for c in text[:start] + text[end:])):
        return False
    if rule.near:
        around = text[max(0, start - rule.within) : start] + "\n" + text[end : end + rule.within]
        for word in rule.near:
            if word in around:
                break
        else:
            return False
    if rule.unless:
        sentence = text[_sentence_start(text, start) : _sentence_end(text, end) + 1]
        for word in rule.unless:
            if word in sentence:
                return False
    return True


def _sentence_start(text: str, start: int) -> int:
    low = max(0, start - 60)
    before = text[low:start]
    return low + max([before.rfind(mark) for mark in _SENTENCE_ENDS]) + 1


def _sentence_end(text: str, end: int) -> int:
    found = _SENTENCE_END.search(text, end, end + 60)
    return found.start() if found else end + 60


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
