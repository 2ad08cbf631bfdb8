"""What is said twice: cases that nearly equal each other, and phrases that many share."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .cases import Case
from .errors import InputError

__all__ = ["Duplicate", "SharedPhrase", "near_duplicates", "shared_phrases"]

#: How alike (Indel ratio, per cent) two single turns and two whole conversations may not be.
TURN_LIKENESS = 90.0
CONVERSATION_LIKENESS = 60.0
_MIN_TURN = 10
_TOO_COMMON = 60
_CUT = "|"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two cases that say nearly the same, by id in ascending order."""

    first: str
    second: str
    likeness: float


@dataclass(frozen=True, slots=True)
class SharedPhrase:
    """A phrase and the conversations it stands in."""

    phrase: str
    conversations: int
    ids: tuple[str, ...]


def near_duplicates(cases: Sequence[Case], stock: Sequence[str] = ()) -> list[Duplicate]:
    """Return pairs of cases that nearly equal each other, stock phrases aside.

    Labelled turns of utterances are compared with each other and with the turns of conversations;
    conversations are compared as wholes. Punctuation, blanks and case do not count.

    Raises
    ------
    InputError
        When rapidfuzz is not installed.
    """
    script = _script(stock)
    single: list[tuple[str, str]] = []  # turns of conversations first, utterances after them
    whole: list[tuple[str, str]] = []
    for case in (c for c in cases if not c.is_utterance):
        turns = [_bare(turn.text, script) for turn in case.conversation.turns]
        single += ((case.id, text) for text in turns if len(text) >= _MIN_TURN)
        whole.append((case.id, _CUT.join(turns)))
    known = len(single)
    for case in (c for c in cases if c.is_utterance):
        text = _bare(case.conversation.turns[-1].text, script)
        if len(text) >= _MIN_TURN:
            single.append((case.id, text))
    return [*_alike(single, 4, TURN_LIKENESS, known), *_alike(whole, 6, CONVERSATION_LIKENESS, 0)]


def shared_phrases(
    cases: Sequence[Case], stock: Sequence[str] = (), *, length: int = 12, limit: int = 5
) -> list[SharedPhrase]:
    """Return the phrases of at least `length` characters that more than `limit` conversations share."""
    script = _script(stock)
    texts = [(case.id, [_cut(turn.text, script) for turn in case.conversation.turns]) for case in cases]
    seen = Counter[str]()
    for _, turns in texts:
        seen.update({gram for text in turns for gram in _grams(text, length) if _CUT not in gram})
    common: dict[str, set[str]] = {gram: set() for gram, n in seen.items() if n > limit}
    for ident, turns in texts:
        for gram in (gram for text in turns for gram in _grams(text, length)):
            if gram in common:
                common[gram].add(ident)
    longest: dict[str, set[str]] = {}
    for text in (text for _, turns in texts for text in turns):
        for phrase, ids in _runs(text, common, length):
            longest[phrase] = longest.get(phrase, set()) | ids
    return [
        SharedPhrase(phrase, len(ids), tuple(sorted(ids)))
        for phrase, ids in sorted(longest.items())
        if not any(phrase != other and phrase in other for other in longest)
    ]


def _runs(text: str, common: dict[str, set[str]], length: int) -> Iterator[tuple[str, set[str]]]:
    """Yield the longest stretches of a text that consist of common phrases."""
    k = 0
    while k <= len(text) - length:
        end = k
        ids: set[str] = set()
        while text[end : end + length] in common:
            ids = ids | common[text[end : end + length]]
            end += 1
        if end > k:
            yield text[k : end + length - 1], ids
        k = end + 1


def _alike(texts: Sequence[tuple[str, str]], n: int, cutoff: float, known: int) -> Iterator[Duplicate]:
    """Yield the pairs above the cutoff; the first `known` texts are not compared with each other.

    Only pairs that share enough of their n-grams are measured. An n-gram of very many texts leads
    to no pair: what is alike shares rarer ones as well.
    """
    try:
        from rapidfuzz import fuzz
    except ImportError:
        raise InputError(
            "rapidfuzz is not installed", where="near-duplicates", mend="pip install 'riskmodel[test]'"
        ) from None
    posted: defaultdict[str, list[int]] = defaultdict(list)
    sizes: list[int] = []
    for i, (ident, text) in enumerate(texts):
        own = set(_grams(text, n))
        sizes.append(len(own))
        if i >= known:
            shared = Counter[int]()
            for gram in own:
                if gram in posted and len(posted[gram]) <= _TOO_COMMON:
                    shared.update(posted[gram])
            for j, count in shared.items():
                if count < 0.25 * min(sizes[i], sizes[j]) or texts[j][0] == ident:
                    continue
                likeness = fuzz.ratio(text, texts[j][1], score_cutoff=cutoff)
                if likeness:
                    first, second = sorted((ident, texts[j][0]))
                    yield Duplicate(first, second, likeness)
        for gram in own:
            posted[gram].append(i)


def _grams(text: str, n: int) -> Iterator[str]:
    return (text[k : k + n] for k in range(len(text) - n + 1))


def _fold(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _script(stock: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern of the stock phrases, the longest first; it matches nothing without any."""
    phrases = sorted({_fold(phrase) for phrase in stock} - {""}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, phrases)) or r"(?!)")


def _cut(text: str, script: re.Pattern[str]) -> str:
    return script.sub(_CUT, _fold(text))


def _bare(text: str, script: re.Pattern[str]) -> str:
    return script.sub("", _fold(text))
