"""One spelling for what people write in many, with a map back to the original characters.

Works on columns of texts: all texts of a batch become one array of code points, each step is one
pass over it, and a single text is a batch of one. What changes the length (characters dropped,
entities decoded) goes through the `origin` array, so that every span found in the normalised text
points at the exact characters of the original.
"""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import opencc

from .judgeable import repair

__all__ = ["Kind", "NormalizedTexts", "normalize", "normalize_many", "without_gaps"]

SEPARATOR = 10  # a line feed stands after every text of a column; inside a text it becomes a space
_SIZE = 0x110000
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_PINYIN_NOTE = re.compile(r"(?<=[一-鿿])[(（][a-zA-ZāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüĀÁǍÀĒÉĚÈŌÓǑÒ]{1,6}[0-4]?[)）]")


class Kind:
    """What a normalised character is (values of `NormalizedTexts.kinds`)."""

    OTHER = 0
    HAN = 1
    LETTER = 2
    DIGIT = 3
    GAP = 4  # spaces and symbols that people put inside a word to disguise it
    MARK = 5  # punctuation that ends or parts a clause
    FOREIGN = 6  # letters of other scripts: kana, Hangul, Cyrillic …
    EMOJI = 7
    DROP = 8
    SEPARATOR = 9
    SUSPECT = 10  # frequent in broken encodings only (never in normalised text)


_MARKS = "，。！？；：、,.!?;:…—()（）《》<>“”‘’\"'「」『』【】[]{}"
_GAPS = " *·.-_~/|\\+=#^&%$@`•'\"丶"
# What UTF-8 read as GBK is full of, and ordinary text almost never.
_SUSPECTS = "鎴锛浜紝垜浠鐨殑鍙浣鏈鏄璇鎮澶偍杩槸鍚竴笉鍒濂鍏鍗灏屾戝瀹綘閭屽缁涔鎵偅犱戜鐢戞鍦璁湁佸闂兘鏉戣嶅鍐閫鎶戠娌屼嬪鍥繖瀛笂璐湪埌粰欐鐪嶆宸岃欎勫閲鍝堝鏃鍛鏀夊浼甯琛銆鐐鑳彲鍔婂鍘娆寮嶈搴佷変嗗湅犲潵寰嬫勬鍑棶佹閮骞鏍瀵鎷鏂岀璋嶄悧瓙璧偣繕嗕噷笁笅氬鍟璺夋鎬彿崄満嗭瑙嶇熸欏庝樻鐧椂敤绾墦蹇绠幓粬堟鍧熷鎺"


_LONG = 2_000  # characters


@dataclass(frozen=True, eq=False)
class NormalizedTexts:
    """A column of normalised texts.

    Attributes
    ----------
    codes : ndarray of uint32, shape (n_chars,)
        Code points of all texts, a line feed after each.
    bounds : ndarray of int64, shape (n_texts + 1,)
        Text ``i`` is ``codes[bounds[i]:bounds[i + 1] - 1]``.
    origin : ndarray of int32, shape (n_chars,)
        Where each character stood in its original text, in code points.
    widths : ndarray of int32 or None
        How many original characters each one stands for; None when always one.
    repaired : frozenset of int
        Texts whose broken encoding was repaired before reading.
    suspects : frozenset of int
        Texts with characters that are frequent in broken encodings only.
    """

    codes: np.ndarray[Any, np.dtype[np.uint32]]
    bounds: np.ndarray[Any, np.dtype[np.int64]]
    origin: np.ndarray[Any, np.dtype[np.int32]]
    widths: np.ndarray[Any, np.dtype[np.int32]] | None
    repaired: frozenset[int] = frozenset()
    suspects: frozenset[int] = frozenset()

    @cached_property
    def string(self) -> str:
        """All texts as one string; offsets are those of `codes`."""
        return self.codes.tobytes().decode("utf-32-le")

    @cached_property
    def kinds(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The `Kind` of every character."""
        kinds: np.ndarray[Any, np.dtype[np.uint8]] = _tables()[1][self.codes]
        return kinds

    @cached_property
    def owners(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The text that each character belongs to."""
        return np.repeat(np.arange(len(self)), self.bounds[1:] - self.bounds[:-1])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def text(self, i: int) -> str:
        """Return normalised text `i`."""
        start, end = int(self.bounds[i]), int(self.bounds[i + 1]) - 1
        if end - start < _LONG:
            return self.string[start:end]
        found = self._long.get(i)  # a copy for each of a long text's many hits would take quadratic time
        if found is None:
            found = self._long[i] = self.string[start:end]
        return found

    @cached_property
    def _long(self) -> dict[int, str]:
        return {}

    def texts(self) -> list[str]:
        """Return all normalised texts."""
        return self.string[:-1].split("\n") if len(self) else []

    def take(self, which: np.ndarray[Any, Any]) -> NormalizedTexts:
        """Return the column of the texts at the indices `which`, in that order."""
        if len(which) == len(self) and (which == np.arange(len(which))).all():
            return self
        sizes = (self.bounds[1:] - self.bounds[:-1])[which]
        bounds = np.zeros(len(which) + 1, dtype=np.int64)
        np.cumsum(sizes, out=bounds[1:])
        index = np.arange(bounds[-1]) + np.repeat(self.bounds[:-1][which] - bounds[:-1], sizes)
        widths = None if self.widths is None else self.widths[index]
        return NormalizedTexts(self.codes[index], bounds, self.origin[index], widths)

    def which(self, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the index of the text that holds each position of the column."""
        return np.searchsorted(self.bounds, positions, side="right") - 1

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original span, within its text, of the column's characters ``start:end``."""
        last = end - 1
        width = 1 if self.widths is None else int(self.widths[last])
        return int(self.origin[start]), int(self.origin[last]) + width


def normalize(text: str) -> NormalizedTexts:
    """Normalise one text: a column of one."""
    return normalize_many((text,))


def normalize_many(texts: Sequence[str]) -> NormalizedTexts:
    """Normalise a column of texts.

    Full-width and compatibility forms become the plain character, capitals small, Traditional
    characters Simplified, listed emoji the word they stand for; zero-width and control characters
    and pinyin notes go; runs of one character are cut to two (one for punctuation, digits stay);
    HTML entities are decoded; a text whose encoding was broken in a way that can be undone is
    repaired first.
    """
    table, kinds = _tables()
    n = len(texts)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=n)
    raw = "\n".join(texts) + "\n" if n else ""
    codes = np.frombuffer(raw.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    bounds = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(lengths + 1, out=bounds[1:])

    origin = np.arange(len(codes), dtype=np.int32)
    if n > 1:
        origin -= np.repeat(bounds[:-1], lengths + 1).astype(np.int32)
    widths = None
    repaired: frozenset[int] = frozenset()
    suspects: frozenset[int] = frozenset()
    # Broken encodings show themselves by characters that Chinese text hardly ever holds.
    kind = kinds[codes]
    suspect = (kind == Kind.SUSPECT).nonzero()[0]
    if len(suspect) > 2:
        owners, counts = np.unique(np.searchsorted(bounds, suspect, side="right") - 1, return_counts=True)
        suspects = frozenset(owners[counts > 2].tolist())
        codes, bounds, origin, widths, repaired = _repair(texts, suspects, codes, bounds, origin)
        if repaired:
            raw = codes.tobytes().decode("utf-32-le", "surrogatepass")

    out = table[codes]
    ends = bounds[1:] - 1
    out[ends] = SEPARATOR
    kind = kinds[out]
    drop = kind == Kind.DROP
    if "&" in raw or "(" in raw or "（" in raw:
        widths = _decode_notes(raw, out, drop, widths, table)
        kind = kinds[out]
    # A third equal character in a row is emphasis (digits may be a number); of marks the second.
    same = out[1:] == out[:-1]
    if same.any():
        squeeze = np.zeros(len(out), dtype=bool)
        squeeze[2:] = same[1:] & same[:-1]
        squeeze[1:] |= same & ((kind[1:] == Kind.MARK) | (kind[1:] == Kind.GAP))
        squeeze &= (kind != Kind.DIGIT) & (kind != Kind.SEPARATOR)
        drop |= squeeze
    drop[ends] = False
    if drop.any():
        keep = ~drop
        before = np.zeros(len(out) + 1, dtype=np.int64)
        np.cumsum(keep, out=before[1:])
        bounds = before[bounds]
        out, origin = out[keep], origin[keep]
        widths = None if widths is None else widths[keep]
    return NormalizedTexts(out, bounds, origin, widths, repaired, suspects)


def without_gaps(
    column: NormalizedTexts,
) -> tuple[NormalizedTexts | None, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the texts that hold spaces, symbols or emoji between characters, without these.

    Returns
    -------
    joined : NormalizedTexts or None
        None when there is no such text.
    owners : ndarray
        Which text of `column` each one is.
    back : ndarray
        Where each character of `joined` stood in its text.
    """
    kinds = column.kinds
    gap = (kinds == Kind.GAP) | (kinds == Kind.EMOJI)
    at = gap.nonzero()[0]
    at = at[(at > 0) & (at < len(kinds) - 1)]
    at = at[(kinds[at - 1] != Kind.SEPARATOR) & (kinds[np.minimum(at + 1, len(kinds) - 1)] != Kind.SEPARATOR)]
    if not len(at):
        return None, at, at
    held = np.zeros(len(column), dtype=bool)
    held[column.owners[at]] = True
    which = held.nonzero()[0]
    kept = (held[column.owners] & ~gap).nonzero()[0]
    owners = column.owners[kept]
    bounds = np.searchsorted(owners, np.append(which, len(column)))
    back = kept - column.bounds[owners]
    return NormalizedTexts(column.codes[kept], bounds, np.zeros(0, dtype=np.int32), None), which, back


def _repair(
    texts: Sequence[str],
    candidates: frozenset[int],
    codes: np.ndarray[Any, Any],
    bounds: np.ndarray[Any, Any],
    origin: np.ndarray[Any, Any],
) -> tuple[Any, Any, Any, Any, frozenset[int]]:
    fixes = {i: fixed for i in candidates if (fixed := repair(texts[i])) is not None}
    if not fixes:
        return codes, bounds, origin, None, frozenset()
    parts, origins, widths = [], [], []
    for i, text in enumerate(texts):
        if i in fixes:
            string, starts, sizes = fixes[i]
            parts.append(np.frombuffer((string + "\n").encode("utf-32-le", "surrogatepass"), dtype=np.uint32))
            origins.append(np.array([*starts, len(text)], dtype=np.int32))
            widths.append(np.array([*sizes, 1], dtype=np.int32))
        else:
            a, b = int(bounds[i]), int(bounds[i + 1])
            parts.append(codes[a:b])
            origins.append(origin[a:b])
            widths.append(np.ones(b - a, dtype=np.int32))
    new = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(p) for p in parts], out=new[1:])
    return np.concatenate(parts), new, np.concatenate(origins), np.concatenate(widths), frozenset(fixes)


def _decode_notes(
    raw: str,
    out: np.ndarray[Any, Any],
    drop: np.ndarray[Any, Any],
    widths: np.ndarray[Any, Any] | None,
    table: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any] | None:
    for match in _ENTITY.finditer(raw):
        char = html.unescape(match[0])
        if len(char) != 1 or char == match[0]:
            continue
        if widths is None:
            widths = np.ones(len(out), dtype=np.int32)
        start, end = match.span()
        out[start] = table[ord(char)]
        drop[start + 1 : end] = True
        widths[start] = end - start
    for match in _PINYIN_NOTE.finditer(raw):
        drop[match.start() : match.end()] = True
    return widths


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return (code point → normalised code point, code point → kind)."""
    table = np.arange(_SIZE, dtype=np.uint32)
    kinds = np.zeros(_SIZE, dtype=np.uint8)
    # Everything outside the Han and Hangul blocks is small enough to ask the Unicode database.
    asked = [chr(c) for c in (*range(0x80, 0x3400), *range(0xF900, 0xFB00), *range(0xFE00, 0x10000), *range(0x1F100, 0x1F200))]
    for char, folded in zip(asked, unicodedata.normalize("NFKC", "\n".join(asked)).lower().split("\n"), strict=True):
        code = ord(char)
        if len(folded) > 1 and (code >= 0x1F100 or 0x2460 <= code < 0x2500):
            folded = folded.strip("().,")  # 🄐 and ⑴ hold one letter or digit
        if len(folded) == 1 and folded != char:
            table[code] = ord(folded)
        category = unicodedata.category(char)
        if category in ("Cc", "Cf", "Mn", "Me"):
            kinds[code] = Kind.DROP
        elif category[0] == "L":
            kinds[code] = Kind.FOREIGN
    for code in range(0x1D400, 0x1D800):
        table[code] = ord(unicodedata.normalize("NFKC", chr(code)).lower()[0])
    table[ord("A") : ord("Z") + 1] += 32
    kinds[:32] = kinds[0x7F] = kinds[0xFE00:0xFE10] = kinds[0xE0000:0xE0200] = Kind.DROP
    kinds[0x3400:0x4DC0] = kinds[0x4E00:0xA000] = kinds[0x20000:0x323B0] = kinds[ord("〇")] = Kind.HAN
    kinds[0xA000:0xD7FC] = Kind.FOREIGN
    kinds[ord("a") : ord("z") + 1] = Kind.LETTER
    kinds[ord("0") : ord("9") + 1] = Kind.DIGIT
    kinds[0x1F000:0x1FB00] = kinds[0x2600:0x27C0] = Kind.EMOJI
    han = "".join(map(chr, (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))))
    # A line feed between the characters keeps OpenCC from reading them as words.
    table[[ord(c) for c in han]] = [ord(c) for c in opencc.OpenCC("t2s").convert("\n".join(han))[::2]]
    for section in tomllib.loads((files("riskmodel") / "resources/characters.toml").read_text("utf-8")).values():
        for old, new in section.items():
            table[ord(old)] = ord(new)
    table[0xD800:0xE000] = 0xFFFD  # lone surrogates crash the native libraries
    for code in (*range(9, 14), 0x85, 0xA0, 0x2028, 0x2029, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000):
        table[code] = 0x20
    for char in _MARKS:
        kinds[ord(char)] = Kind.MARK
    for char in _GAPS:
        kinds[ord(char)] = Kind.GAP
    kinds[SEPARATOR] = Kind.SEPARATOR
    kinds[0x80:0x100] = Kind.SUSPECT
    for char in _SUSPECTS:
        kinds[ord(char)] = Kind.SUSPECT
    kinds[0xE000:0xF900] = Kind.SUSPECT  # private use: what GBK makes of odd pairs
    for char in "°±²³·×÷é":
        kinds[ord(char)] = Kind.OTHER
    table.setflags(write=False)
    kinds.setflags(write=False)
    return table, kinds
