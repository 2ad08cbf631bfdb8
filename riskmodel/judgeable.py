"""Which texts cannot be judged, and which broken encodings can be undone.

A picture, a voice message or damaged text is not "no risk": it is named with its reason.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files

__all__ = ["REASONS", "repair", "why_not"]

#: Reasons of `not_analysed`.
REASONS = (
    "empty",
    "recalled",
    "picture",
    "voice",
    "video",
    "file",
    "mojibake",
    "mojibake_repaired",
    "not_chinese",
    "unknown_speaker",
)

_HAN = re.compile("[㐀-䶿一-鿿]")
_FOREIGN = re.compile("[぀-ヿ가-힯Ѐ-ӿ؀-ۿ฀-๿֐-׿ऀ-ॿ]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]{2,}")
_LATIN1 = re.compile("[\x80-\xff]")


def why_not(text: str) -> str | None:
    """Return why a text cannot be judged, or None when it can.

    Digits, punctuation and short codes alone can be judged: there is nothing in them.
    """
    bare = text.strip()
    if not bare:
        return "empty"
    for reason, pattern in _placeholders():
        if pattern.fullmatch(bare):
            return reason
    han = len(_HAN.findall(bare))
    damaged = bare.count("\ufffd") + bare.count("锟") + bare.count("烫烫") * 2
    if damaged >= 2 and damaged * 5 >= len(bare):
        return "mojibake"
    if len(_LATIN1.findall(bare)) * 3 >= len(bare) and len(bare) >= 4 and not han:
        return "mojibake"
    if _looks_like_utf8_as_gbk(bare):
        return "mojibake"
    foreign = len(_FOREIGN.findall(bare))
    if foreign >= 2 and foreign > han // 2:
        return "not_chinese"
    words = _LATIN_WORD.findall(bare)
    if not han and len(words) >= 3 and sum(map(len, words)) >= 12 and "http" not in bare:
        return "not_chinese"
    return None


def repair(text: str) -> tuple[str, list[int], list[int]] | None:
    """Undo a broken encoding.

    Returns
    -------
    tuple or None
        The repaired text, and for each of its characters the start and the number of the original
        characters it stands for. None when the text is not broken or cannot be repaired.
    """
    if len(_LATIN1.findall(text)) >= 4 and not _HAN.search(text):
        for wrong in ("latin-1", "cp1252"):
            for right in ("utf-8", "gb18030"):
                found = _redecode(text, wrong, right)
                if found:
                    return found
    if _looks_like_utf8_as_gbk(text):
        return _redecode(text, "gb18030", "utf-8")
    return None


def _redecode(text: str, wrong: str, right: str) -> tuple[str, list[int], list[int]] | None:
    try:
        pieces = [c.encode(wrong) for c in text]
    except UnicodeError:
        return None
    data = b"".join(pieces)
    for lost in range(3):  # the last character is often torn
        with suppress(UnicodeError):
            fixed = data[: len(data) - lost].decode(right)
            break
    else:
        return None
    han = len(_HAN.findall(fixed))
    common = sum(c in _common() for c in fixed)
    if not han or common * 10 < han * 8 or han * 2 < sum(not c.isascii() for c in fixed):
        return None
    owner: list[int] = []
    for i, piece in enumerate(pieces):
        owner.extend([i] * len(piece))
    starts, sizes, at = [], [], 0
    for char in fixed:
        size = len(char.encode(right))
        first, last = owner[at], owner[at + size - 1]
        starts.append(first)
        sizes.append(last - first + 1)
        at += size
    return fixed, starts, sizes


def _looks_like_utf8_as_gbk(text: str) -> bool:
    han = _HAN.findall(text)
    if len(han) < 4:
        return False
    rare = sum(c not in _common() for c in han)
    if rare * 2 < len(han):
        return False
    try:
        return bool(_HAN.search(text.encode("gb18030").decode("utf-8", "ignore")))
    except UnicodeError:
        return False


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    """The 3,755 characters of GB 2312, level 1, which make up 99 % of modern text."""
    chars = []
    for high in range(0xB0, 0xD8):
        for low in range(0xA1, 0xFF):
            try:
                chars.append(bytes((high, low)).decode("gb2312"))
            except UnicodeError:
                continue
    return frozenset(chars)


@lru_cache(maxsize=1)
def _placeholders() -> tuple[tuple[str, re.Pattern[str]], ...]:
    data = tomllib.loads((files("riskmodel") / "resources/placeholders.toml").read_text("utf-8"))
    return tuple((reason, re.compile("|".join(f"(?:{p})" for p in patterns))) for reason, patterns in data.items())
