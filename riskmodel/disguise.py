"""Other spellings of listed words: spoken digits, pinyin, initials, split characters, homophones.

Only words that a rule marks with ``disguise = true`` (and its ``numbers``) get other spellings, and
every homophone found is checked against the text around it: ordinary text is never rewritten.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["all_spellings", "everyday_rank", "number_spellings", "sound_key", "sound_table", "spellings", "trivial_surface"]

_DIGITS = {
    "0": "0零洞",
    "1": "1一幺腰妖",
    "2": "2二两",
    "3": "3三",
    "4": "4四",
    "5": "5五",
    "6": "6六",
    "7": "7七拐",
    "8": "8八",
    "9": "9九",
}
# Sounds that dialects and speech recognition mix up count as one.
_FUZZY_HEADS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"))
_FUZZY_TAILS = (("ang", "an"), ("eng", "en"), ("ing", "in"))
_FIRST_CODE = 0xF0000  # private use: one code point a sound


def number_spellings(number: str) -> Iterator[str]:
    """Yield every way of writing a listed number with digits and spoken numerals."""
    options = [_DIGITS.get(c, c) for c in number]
    if len(number) > 6:
        options = [o[:2] for o in options]
    for combination in itertools.product(*options):
        yield "".join(combination)


def spellings(word: str) -> Iterator[str]:
    """Yield pinyin, mixed and split spellings of a listed word of Han characters."""
    readings = _readings()
    sounds = [readings.get(c, "") for c in word]
    if len(word) >= 2 and all(sounds):
        if sum(map(len, sounds)) >= 5:
            yield "".join(sounds)
        for i, sound in enumerate(sounds):  # tou诉
            if len(sound) > 1:
                yield word[:i] + sound + word[i + 1 :]
    parts = _split_characters()
    options = [(c, *parts.get(c, ())) for c in word]
    for combination in itertools.islice(itertools.product(*options), 1, 16):
        yield "".join(combination)


def sound_key(word: str) -> str:
    """Return the sounds of a word as private characters, one a syllable; "" when one is unknown."""
    codes = np.array([ord(c) for c in word], dtype=np.int64)
    sounds = sound_table()[codes]
    return "".join(map(chr, sounds)) if (sounds >= _FIRST_CODE).all() else ""


@lru_cache(maxsize=1)
def sound_table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Code point → sound (tone-free, n/l, zh/z, ng/n merged); other characters stay themselves."""
    table = np.arange(0x110000, dtype=np.uint32)
    numbers: dict[str, int] = {}
    for char, reading in _readings().items():
        key = _fuzzy(reading)
        table[ord(char)] = _FIRST_CODE + numbers.setdefault(key, len(numbers))
    table.setflags(write=False)
    return table


def trivial_surface(surface: str, word: str) -> bool:
    """Whether the characters that differ from the word are all everyday ones.

    啥比 in 这啥比例 sounds like a swear word but is made of everyday characters; 沙碧 is not.
    """
    everyday = _everyday()
    return all(s in everyday for s, w in zip(surface, word, strict=True) if s != w)


def everyday_rank(char: str) -> int | None:
    """Return the rank of one of the most frequent characters of the language, or None."""
    return _everyday().get(char)


def _fuzzy(reading: str) -> str:
    for old, new in _FUZZY_HEADS:
        if reading.startswith(old):
            reading = new + reading[len(old) :]
            break
    for old, new in _FUZZY_TAILS:
        if reading.endswith(old):
            return reading[: -len(old)] + new
    return reading


@lru_cache(maxsize=1)
def _readings() -> dict[str, str]:
    """Character → its most frequent reading without tone, from ``resources/pinyin.txt``."""
    out: dict[str, str] = {}
    for line in (files("riskmodel") / "resources/pinyin.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            sound, chars = line.split(" ", 1)
            out.update(dict.fromkeys(chars, sound))
    return out


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return tomllib.loads((files("riskmodel") / "resources/disguise.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def _everyday() -> dict[str, int]:
    return {char: rank for rank, char in enumerate(dict.fromkeys(_data()["everyday"]))}


def _split_characters() -> dict[str, Sequence[str]]:
    return _data()["split"]  # type: ignore[no-any-return]


def all_spellings(words: Iterable[str]) -> dict[str, str]:
    """Return other spelling → word for the listed words."""
    out: dict[str, str] = {}
    for word in words:
        for other in spellings(word):
            if other != word:
                out.setdefault(other, word)
    return out
