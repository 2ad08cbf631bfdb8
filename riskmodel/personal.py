"""Find personal data in Chinese service text.

Every pattern is bounded, so time is linear in the text; offsets count the original's code points.
Cue words, surnames and public numbers are in ``resources/privacy.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeAlias

from .addresses import AddressFinder

__all__ = ["KINDS", "PersonalSpan", "find_kept", "find_personal", "fold"]

KINDS = ("email", "id_card", "bank_card", "phone", "wechat", "qq", "plate", "name", "address")

_Found: TypeAlias = Iterator[tuple[int, int]]
_HAN = "[㐀-䶿一-鿿]"
_SPOKEN = str.maketrans("幺一二三四五六七八九零〇两", "1123456789002")
_DIGIT = "[0-9幺一二三四五六七八九零〇两]"
_LEFT = r"(?:(?<![0-9A-Za-z_.@-])|(?<=[A-Za-z_@.]-)|(?<=\b[Tt][Ee][Ll])|(?<=\b[VvXx])|(?<=[^0-9]-))"
_RIGHT = r"(?![0-9_@])(?:(?![A-Za-z])|(?=[vwVW][xX]))(?!-[0-9]{3})(?!\.[0-9])"
_FOLD = {**{c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}, 0x3000: 0x20, 0xA0: 0x20, **dict.fromkeys(map(ord, "‐‑–—−"), 0x2D)}
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DATE = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"


@dataclass(frozen=True, slots=True)
class PersonalSpan:
    """Personal data: ``text == original[start:end]``; `kind` is one of `KINDS`."""

    kind: str
    start: int
    end: int
    text: str


def fold(text: str) -> str:
    """Return the text with full-width letters, digits, spaces and dashes as plain ones, at the same length."""
    return text.translate(_FOLD)


def find_personal(text: str) -> tuple[PersonalSpan, ...]:
    """Return the personal data of a text, in its order, without overlaps.

    Order and parcel numbers, public hotlines and the mailboxes of companies are no personal data.
    """
    plain = fold(text)
    p = _patterns()
    taken: list[tuple[int, int, str]] = [(s, e, "") for s, e in _kept(plain, p)]
    finders: tuple[tuple[str, Callable[[str, _Patterns], _Found]], ...] = (
        ("email", _emails),
        ("id_card", _id_cards),
        ("bank_card", _bank_cards),
        ("phone", _phones),
        ("wechat", _wechat),
        ("qq", _qq),
        ("plate", _plates),
        ("name", _names),
    )
    for kind, finder in finders:
        _take(taken, kind, finder(plain, p))
    _take(taken, "address", p.addresses(plain, taken))
    return tuple(PersonalSpan(k, s, e, text[s:e]) for s, e, k in sorted(taken) if k)


def find_kept(text: str) -> tuple[tuple[int, int], ...]:
    """Return where order, parcel and serial numbers stand: they look personal and are not."""
    plain = fold(text)
    return tuple(_kept(plain, _patterns()))


def _take(taken: list[tuple[int, int, str]], kind: str, found: _Found) -> None:
    """Add the spans that overlap nothing found before; both lists are in text order, so one merge does."""
    old = sorted(taken)
    at, last = 0, -1
    for start, end in sorted(set(found)):
        while at < len(old) and old[at][1] <= start:
            at += 1
        if start >= last and (at == len(old) or old[at][0] >= end):
            taken.append((start, end, kind))
            last = end


def _kept(text: str, p: _Patterns) -> _Found:
    for m in p.order.finditer(text):
        yield m.span(1)


def _emails(text: str, p: _Patterns) -> _Found:
    for m in p.email.finditer(text):
        if m[1].lower() not in p.mailboxes:
            yield m.span()


def _id_cards(text: str, p: _Patterns) -> _Found:
    for m in p.id18.finditer(text):
        digits = re.sub("[ -]", "", m[0]).upper()
        if _checksum(digits) or p.id_cue.search(text, max(0, m.start() - 12), m.start()):
            yield m.span()
    for m in p.id15.finditer(text):
        if p.id_cue.search(text, max(0, m.start() - 12), m.start()):
            yield m.span()


def _checksum(digits: str) -> bool:
    return "10X98765432"[sum(int(d) * w for d, w in zip(digits, _WEIGHTS, strict=False)) % 11] == digits[17]


def _bank_cards(text: str, p: _Patterns) -> _Found:
    for m in p.card.finditer(text):
        digits = re.sub("[ -]", "", m[0])
        if not 15 <= len(digits) <= 19:
            continue
        before = max(0, m.start() - 14)
        said = p.card_certain.search(text, before, m.start())
        looks = digits.startswith(("62", "9558")) or (
            digits[0] in "3456" and p.card_cue.search(text, before, m.start())
        )
        if said or (looks and _luhn(digits)):
            yield m.span()


def _luhn(digits: str) -> bool:
    total = 0
    for i, d in enumerate(reversed(digits)):
        n = int(d) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


def _phones(text: str, p: _Patterns) -> _Found:
    for pattern in (p.mobile, p.landline):
        for m in pattern.finditer(text):
            if not p.amount.match(text, m.end()):
                yield m.span()
    for m in p.local.finditer(text):
        if not p.hotline.fullmatch(re.sub("[- ]", "", m[1])):
            yield m.span(1)
    for m in p.spoken.finditer(text):
        digits = re.sub("[^0-9]", "", m[0].translate(_SPOKEN))
        if re.fullmatch("1[3-9][0-9]{9}", digits) and not m[0].isascii():
            yield m.span()


def _wechat(text: str, p: _Patterns) -> _Found:
    for m in p.wechat.finditer(text):
        if m[1] or any(c.isdigit() or c in "_-" for c in m[2]):  # 微信Android is no account
            yield m.span(2)


def _qq(text: str, p: _Patterns) -> _Found:
    for m in p.qq.finditer(text):
        if not p.hotline.fullmatch(m[1]):
            yield m.span(1)


def _plates(text: str, p: _Patterns) -> _Found:
    for m in p.plate.finditer(text):
        if sum(c.isdigit() for c in m[0]) >= 3:  # 新P40Plus is a telephone
            yield m.span()


def _names(text: str, p: _Patterns) -> _Found:
    for m in p.name_cue.finditer(text):
        end = _name_end(text, m.end(), p, free="label" in (m.lastgroup or "") and ":" in m[0])
        if end > m.end():
            yield m.end(), end
    for m in p.surname_cue.finditer(text):
        yield m.span(1)
    for m in p.titled.finditer(text):
        if not m.start() or text[m.start() - 1] not in p.names["not_after"].get(m[0], ""):
            yield m.span()


def _name_end(text: str, at: int, p: _Patterns, *, free: bool) -> int:
    """Return where the name that starts at `at` ends, or `at` when there is none.

    With `free` (after 收件人：) any two to four characters up to a mark are a name.
    """
    latin = p.latin_name.match(text, at)
    if latin:
        return latin.end()
    if text[at : at + 2] in p.not_names:
        return at
    nick = p.nickname.match(text, at)
    if nick:
        return nick.end()
    if free:
        whole = p.free_name.match(text, at)
        if whole and not p.titled.match(text, at):
            return whole.end()
    surname = p.surname.match(text, at)
    if not surname:
        return at
    end = surname.end()
    if p.title.match(text, end):
        return end
    given = p.given.match(text, end)
    return given.end() if given else at


class _Patterns:
    """The compiled expressions of ``resources/privacy.toml``."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.numbers, self.names, self.accounts = data["numbers"], data["names"], data["accounts"]
        self.addresses = AddressFinder(data["addresses"])
        number, account, name = self.numbers, self.accounts, self.names
        self.mailboxes = frozenset(account["service_mailboxes"])
        self.not_names = frozenset(name["not_names"])
        order = _any(number["order"])
        self.order = re.compile(
            rf"(?i:{order})(?:号码|编号|号)?(?:[0-9]{{1,2}}位的?)?[是为就这个有的:# ]{{0,6}}"
            r"((?<![0-9])[A-Za-z]{0,6}-?[0-9][0-9A-Za-z]{3,32}(?:-[0-9A-Za-z]{1,16}){0,3})"
        )
        self.hotline = re.compile(number["hotline"])
        self.amount = re.compile(" ?" + _any(number["after_amount"]))
        self.email = re.compile(
            r"(?<![A-Za-z0-9._%+-])([A-Za-z0-9._%+-]{1,64})@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"
        )
        self.id18 = re.compile(
            rf"(?<![0-9A-Za-z])(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])[0-9]{{4}}[ -]?"
            rf"(?:18|19|20)[0-9]{{2}}[ -]?{_DATE}[ -]?[0-9]{{3}}[0-9Xx](?![0-9A-Za-z])"
        )
        self.id15 = re.compile(rf"(?<![0-9A-Za-z])[1-8][0-9]{{7}}{_DATE}[0-9]{{3}}(?![0-9A-Za-z])")
        self.id_cue = re.compile(_any(number["id_card"]))
        self.card = re.compile(
            r"(?<![0-9A-Za-z])(?<![0-9][ -])(?:[0-9]{15,19}|[0-9]{4}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?)(?![0-9A-Za-z])"
        )
        self.card_cue = re.compile(_any(number["bank_card"]))
        self.card_certain = re.compile(_any(number["bank_card_certain"]) + "(?:号码?)?[是为: ]{0,3}$")
        self.mobile = re.compile(
            _LEFT + r"(?:(?:\+|00)?86[- ]?)?1[3-9][0-9](?:[ .-]?[0-9]{4}){2}" + _RIGHT
        )
        self.landline = re.compile(
            _LEFT + r"\(?(?:010|02[0-9]|0[3-9][0-9]{2})[)]?[- ]?[2-9][0-9]{6,7}(?:-[0-9]{1,6})?" + _RIGHT
        )
        self.local = re.compile(
            _any(number["local_phone"]) + r"(?:号码?)?[是为: ]{0,3}([2-8][0-9]{6,7})" + _RIGHT
        )
        self.spoken = re.compile(rf"(?<!{_DIGIT})[幺一1]{_DIGIT}(?:[,、 .-]?{_DIGIT}){{9}}(?!{_DIGIT})")
        wechat = rf"(?<![A-Za-z])(?i:{_any(account['wechat'])})"
        self.wechat = re.compile(
            wechat + r"((?:账号|号码|号|id|ID|是|:)[是为: ]{0,3})?[ ]{0,2}([A-Za-z][A-Za-z0-9_-]{4,19})(?![A-Za-z0-9_@-])"
        )
        self.qq = re.compile(
            rf"(?<![A-Za-z])(?i:{_any(account['qq'])})(?:号码|号)?[是为: ]{{0,3}}([1-9][0-9]{{4,11}})(?![0-9A-Za-z@])"
        )
        self.plate = re.compile(
            rf"[{data['plates']['provinces']}][A-HJ-NP-Za-hj-np-z][ ·•.-]?"
            r"(?:[A-HJ-NP-Za-hj-np-z0-9](?: ?[A-HJ-NP-Za-hj-np-z0-9]){4,5}|[A-Za-z0-9]{4}[学警挂港澳])(?![A-Za-z0-9])"
        )
        fill = "(?:的?姓名|的?名字)?(?:写的?是?|改成|改为|换成|是|为|叫)?[: ]{0,3}"
        self.name_cue = re.compile(
            f"(?P<own>{_any(name['self_cues'])})[: ]{{0,2}}|(?P<label>{_any(name['label_cues'])}){fill}"
        )
        compound = _any(name["compound"])
        self.surname = re.compile(f"{compound}|[{name['common']}]")
        self.surname_cue = re.compile(f"{_any(name['surname_cues'])}({compound}|[{name['surnames']}])(?![么啥])")
        self.title = re.compile(_any(name["titles"]))
        self.titled = re.compile(f"(?:{compound}|[{name['common']}])(?={_any(name['titles'])}(?!{_any(name['no_title'])}))")
        end = f"(?![{name['no_name']}]){_HAN}"
        self.given = re.compile(f"{end}(?:{end})?")
        self.nickname = re.compile(f"[{''.join(name['kin'][:2])}][{name['common']}](?!{_HAN}{{0,1}}[姐孩])|阿{end}")
        self.latin_name = re.compile(r"[A-Z][a-z]{1,15}(?: [A-Z][a-z]{1,15})?(?![A-Za-z0-9])")
        self.free_name = re.compile(rf"{_HAN}{{2,4}}(?=[\s,，.。;；、0-9(（]|$)")


def _any(words: list[str]) -> str:
    return "(?:" + "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True)) + ")"


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns(tomllib.loads((files("riskmodel") / "resources/privacy.toml").read_text("utf-8")))
