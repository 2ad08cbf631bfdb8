"""Find addresses down to a street, village or door in Chinese text.

An address is found from its end: a house number, or a row of buildings, stairs and rooms, right after
the name of a street or an estate; from there it is followed back to where it begins, at most 30
characters. A row of regions without a number counts when it reaches a town, village or street.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["AddressFinder"]

_HAN = "[㐀-䶿一-鿿]"
_REACH = 30
_BREAK = re.compile("[\\s,，.。;；、!！?？:()（）\"'“”【】\\[\\]<>《》~|]")


class AddressFinder:
    """Finds addresses with the words of ``resources/privacy.toml``, section ``addresses``."""

    def __init__(self, words: Mapping[str, Sequence[str] | str]) -> None:
        number = "(?:[甲乙丙]?[0-9A-Za-z]{1,6}(?:-[0-9A-Za-z]{1,5}){0,3}|[一二三四五六七八九十百零]{1,4})"
        unit = f"{number}(?:号楼(?!下)|(?!号楼){_any(words['units'])}|号)"
        doors = "[0-9]{1,4}-[0-9]{1,3}(?:-[0-9]{1,4})?(?![0-9-])"
        building = f"{_HAN}{{1,10}}?{_any(words['estates'])}"
        room = r" ?(?:(?:[0-9]{1,2}-){0,2}[A-Za-z]?[0-9]{2,5}|[0-9]-[0-9]|[幺一二三四五六七八九零]{3,4}(?![幺一二三四五六七八九零]))室?(?![0-9])"
        self._door = re.compile(
            f"(?<![0-9A-Za-z-])(?:{unit}|{doors})(?: ?{unit}){{0,5}}"
            f"(?:{building}(?: ?{unit}| ?{room}){{0,3}}(?![0-9]))?(?:{room})?"
        )
        self._street = re.compile(_any(words["streets"]) + "$")
        self._estate = re.compile(_any(words["estates"]) + "$")
        self._estate_unit = re.compile(_any(words["estate_units"]) + "|[0-9]-[0-9]+-[0-9]")
        self._cue = re.compile(".*" + _any(words["cues"]), re.DOTALL)
        self._province = re.compile(_any(words["provinces"]))
        marker = f"[{words['markers']}]"
        self._regions = re.compile(
            f"{_any(words['provinces'])}(?:(?![的了我你您他她们在到是给请]){_HAN}){{0,30}}"
        )
        self._marker = re.compile(marker)
        self._fine = re.compile("[镇乡村屯路街]|街道")
        self._cued = re.compile(_any([c for c in words["cues"] if len(c) > 1 or c == "住"]) + "$")

    def __call__(self, text: str, taken: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
        """Yield the addresses of a folded text; `taken` spans (names, numbers) are not run over."""
        ends = sorted(e for _, e, _ in taken)
        floor, at = 0, 0
        found: list[tuple[int, int]] = []
        for m in self._door.finditer(text):
            while at < len(ends) and ends[at] <= m.start():
                floor = max(floor, ends[at])
                at += 1
            start = self._start(text, m, max(floor, m.start() - _REACH))
            if start is not None:
                if found and start <= found[-1][1] + 1 and start >= found[-1][1]:
                    start = found.pop()[0]
                found.append((start, m.end()))
                floor = m.end()
        whole = {s for s, _ in found}
        for m in self._regions.finditer(text):
            markers = list(self._marker.finditer(m[0]))
            if m.start() in whole or len(markers) < 2:
                continue
            if len(markers) >= 3 or self._fine.search(m[0]):
                found.append((m.start(), m.start() + markers[-1].end()))
        last = -1
        for start, end in sorted(found):
            if start >= last:
                yield start, end
                last = end

    def _start(self, text: str, door: re.Match[str], floor: int) -> int | None:
        """Return where the address begins whose house number is `door`; None when it is no address."""
        left = text[floor : door.start()]
        cut = max((m.end() for m in _BREAK.finditer(left)), default=0)
        province = self._province.search(left)
        named = left[cut:].rstrip()
        if province:
            begin = province.start()
        else:
            cue = self._cue.match(named)
            begin = cut + (cue.end() if cue else 0)
            labelled = bool(self._cued.search(left[:begin].rstrip(": ")))
        name = left[begin:]
        if name.startswith(("那个", "这个")):
            begin, name = begin + 2, name[2:]
        if len(name.strip()) < 2:
            return None
        if province or self._street.search(name):
            return floor + begin
        big = bool(self._estate_unit.search(door[0]))
        if big and (self._estate.search(name) or labelled):
            return floor + begin
        return None


def _any(words: Sequence[str]) -> str:
    return "(?:" + "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True)) + ")"
