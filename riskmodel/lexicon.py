"""Rules as data: one TOML file a signal, read, checked and expanded here.

A rule finds words that carry a signal. What each key means is in ``docs/rules.md``; matching is in
`riskmodel.matching`, the status of a hit in `riskmodel.status`.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .conversation import Speaker
from .errors import LexiconError
from .gates import alternatives, gates_of
from .taxonomy import Signal, Status

__all__ = ["Lexicon", "Pattern", "Rule", "default_lexicon", "load_lexicon", "pack_rules", "read_lexicon", "unpack_rules"]

_KEYS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "note": str,
    "phrases": list,
    "numbers": list,
    "pattern": str,
    "anchors": list,
    "exclude": list,
    "unless": list,
    "near": list,
    "within": int,
    "reply_to": list,
    "whole_turn": bool,
    "boundary": bool,
    "disguise": bool,
    "status": str,
    "confidence": (int, float),
    "speaker": str,
    "match": list,
    "no_match": list,
}
_MAX_PHRASES = 20_000
_MIN_EXAMPLES = 3
_PLAIN_MARKS = str.maketrans("，！？：；（）", ",!?:;()")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression and the words without which it cannot match.

    Attributes
    ----------
    source : str
    gates : tuple of tuple of str
        It is tried only in texts that hold a word of each.
    """

    source: str
    gates: tuple[tuple[str, ...], ...]

    @property
    def expression(self) -> re.Pattern[str]:
        """The compiled expression; compiled when it is first tried, since most never are."""
        return _compiled(self.source)


@lru_cache(maxsize=8192)
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, its sets expanded.

    Attributes
    ----------
    phrases : tuple of str
        Any of these words is a hit.
    patterns : tuple of Pattern
        Bounded regular expressions, any of which is a hit.
    exclude : tuple of str
        Words that void a hit they overlap.
    unless : tuple of str
        Words that void a hit in the same sentence.
    near, within : tuple of str, int
        A hit counts only with one of `near` within so many characters before or after it.
    reply_to : tuple of str
        A hit counts only when the other side's last turn holds one of these.
    confidence : float
        How likely a counting hit is right, in the judgement of the rule's author (0 to 1).
    """

    signal: Signal
    id: str
    speaker: Speaker | None
    phrases: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    exclude: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    within: int = 12
    reply_to: tuple[str, ...] = ()
    whole_turn: bool = False
    boundary: bool = False
    disguise: bool = False
    status: Status | None = None
    confidence: float = 0.8
    match: tuple[str, ...] = ()
    no_match: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``signal/id``, as evidence names it after ``rule:``."""
        return f"{self.signal.value}/{self.id}"

    def hears(self, speaker: Speaker) -> bool:
        """Whether the rule applies to what `speaker` says."""
        return speaker is self.speaker or (self.speaker is None and speaker is not Speaker.SYSTEM)


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All rules, in a fixed order, and the files they came from (name, text)."""

    rules: tuple[Rule, ...]
    sources: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the files."""
        return hashlib.sha256("\0".join(text for _, text in self.sources).encode()).hexdigest()[:16]

    def __reduce__(self) -> tuple[object, ...]:
        return (read_lexicon, (dict(self.sources),))


@lru_cache(maxsize=1)
def default_lexicon() -> Lexicon:
    """Return the package's own rules."""
    folder = files("riskmodel") / "resources/lexicons"
    return read_lexicon({p.name: p.read_text("utf-8") for p in folder.iterdir() if p.name.endswith(".toml")})


def pack_rules(lexicon: Lexicon) -> list[list[Any]]:
    """Return the rules as plain values, sets written out: what a saved model holds, and loads fast."""
    return [
        [
            r.signal.value, r.id, r.speaker and r.speaker.value, r.phrases, r.numbers,
            [[p.source, p.gates] for p in r.patterns], r.exclude, r.unless, r.near, r.within, r.reply_to,
            r.whole_turn, r.boundary, r.disguise, r.status and r.status.value, r.confidence,
        ]
        for r in lexicon.rules
    ]  # fmt: skip


def unpack_rules(packed: Iterable[list[Any]], sources: Mapping[str, str]) -> Lexicon:
    """Return the lexicon of `pack_rules`; its rules carry no examples."""
    rules = tuple(
        Rule(
            Signal(v[0]), v[1], v[2] and Speaker(v[2]), tuple(v[3]), tuple(v[4]),
            tuple(Pattern(source, tuple(map(tuple, gates))) for source, gates in v[5]),
            tuple(v[6]), tuple(v[7]), tuple(v[8]), v[9], tuple(v[10]),
            v[11], v[12], v[13], v[14] and Status(v[14]), v[15],
        )
        for v in packed
    )  # fmt: skip
    return Lexicon(rules, tuple(sorted(sources.items())))


def load_lexicon(*folders: str | Path, extend: Lexicon | None = None) -> Lexicon:
    """Read every ``*.toml`` of the folders; without a folder, the package's own rules.

    Parameters
    ----------
    extend : Lexicon, optional
        Rules to add the folders' rules to: ``load_lexicon("my-rules", extend=load_lexicon())``.

    Raises
    ------
    LexiconError
        Naming file, rule and key.
    """
    if not folders:
        return extend or default_lexicon()
    texts: dict[str, str] = dict(extend.sources) if extend else {}
    for folder in folders:
        paths = sorted(Path(folder).glob("*.toml"))
        if not paths:
            raise LexiconError("no rule files", where=str(folder), expected="files named <signal>.toml")
        for path in paths:
            texts[str(path)] = path.read_text("utf-8")
    return read_lexicon(texts)


def read_lexicon(texts: Mapping[str, str]) -> Lexicon:
    """Build a lexicon from file names and their contents (as a saved model holds them)."""
    rules: list[Rule] = []
    for name in sorted(texts):
        try:
            data = tomllib.loads(texts[name])
        except tomllib.TOMLDecodeError as error:
            raise LexiconError(f"not valid TOML: {error}", where=name) from None
        rules.extend(_read_file(name, data))
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise LexiconError("two rules have the same id", where=rule.name, mend="rename one of them")
        seen.add(rule.name)
    return Lexicon(tuple(rules), tuple(sorted(texts.items())))


def _read_file(name: str, data: Mapping[str, Any]) -> Iterable[Rule]:
    unknown = set(data) - {"signal", "sets", "rule"}
    if unknown:
        raise LexiconError(f"unknown key {sorted(unknown)[0]!r}", where=name, expected="signal, sets, rule")
    try:
        signal = Signal(data.get("signal", ""))
    except ValueError:
        raise LexiconError(
            f"unknown signal {data.get('signal')!r}", where=f"{name}, key signal", expected="one of " + ", ".join(Signal)
        ) from None
    sets = {k: tuple(map(str, v)) for k, v in data.get("sets", {}).items()}
    for key, values in sets.items():  # a set may use sets defined before it
        sets[key] = tuple(_expand(values, sets, f"{name}, set {key}"))
    for i, raw in enumerate(data.get("rule", ())):
        yield _read_rule(signal, raw, sets, f"{name}, rule {raw.get('id', i)}")


def _read_rule(signal: Signal, raw: Mapping[str, Any], sets: Mapping[str, tuple[str, ...]], where: str) -> Rule:
    for key, value in raw.items():
        if key not in _KEYS:
            raise LexiconError(f"unknown key {key!r}", where=where, expected="one of " + ", ".join(_KEYS))
        if not isinstance(value, _KEYS[key]):
            raise LexiconError(f"key {key} is a {type(value).__name__}", where=where, expected=str(_KEYS[key]))
    if not re.fullmatch(r"[a-z0-9-]+", raw.get("id", "")):
        raise LexiconError("a rule needs an id", where=where, expected="small letters, digits and hyphens")
    if not (raw.get("phrases") or raw.get("numbers") or raw.get("pattern")):
        raise LexiconError("a rule needs phrases, numbers or a pattern", where=where)
    for key in ("match", "no_match"):
        if len(raw.get(key, ())) < _MIN_EXAMPLES:
            raise LexiconError(
                f"key {key} has {len(raw.get(key, ()))} texts", where=where, expected=f"at least {_MIN_EXAMPLES}"
            )
    patterns: tuple[Pattern, ...] = ()
    if "pattern" in raw:
        patterns = _patterns(raw["pattern"], sets, f"{where}, key pattern")
    speaker = raw.get("speaker", "agent" if signal.by_agent else "customer")
    if speaker not in ("customer", "agent", "any"):
        raise LexiconError(f"speaker is {speaker!r}", where=where, expected="customer, agent or any")
    status = raw.get("status")
    if status is not None and status not in tuple(Status):
        raise LexiconError(f"status is {status!r}", where=where, expected=", ".join(Status))
    confidence = float(raw.get("confidence", 0.8))
    if not 0 < confidence <= 1:
        raise LexiconError(f"confidence is {confidence}", where=where, expected="above 0 and at most 1")

    def words(key: str) -> tuple[str, ...]:
        out = tuple(dict.fromkeys(_expand(map(str, raw.get(key, ())), sets, f"{where}, key {key}")))
        if any(not w for w in out):
            raise LexiconError("an empty text", where=f"{where}, key {key}", mend="remove it")
        return out

    return Rule(
        signal,
        raw["id"],
        None if speaker == "any" else Speaker(speaker),
        words("phrases"),
        words("numbers"),
        patterns,
        words("exclude"),
        words("unless"),
        words("near"),
        int(raw.get("within", 12)),
        words("reply_to"),
        bool(raw.get("whole_turn", False)),
        bool(raw.get("boundary", False)),
        bool(raw.get("disguise", False)),
        None if status is None else Status(status),
        confidence,
        tuple(raw["match"]),
        tuple(raw["no_match"]),
    )


def _expand(phrases: Iterable[str], sets: Mapping[str, tuple[str, ...]], where: str) -> Iterable[str]:
    """Write out ``{set}`` and ``(a|b|)`` in phrases: every combination becomes a phrase."""
    count = 0
    for phrase in phrases:
        parts: list[tuple[str, ...]] = []
        for piece in re.split(r"(\{[a-z_]+\}|\([^()]*\))", phrase):
            if piece.startswith("{"):
                key = piece[1:-1]
                if key not in sets:
                    raise LexiconError(f"unknown set {key!r}", where=where, expected="one of " + ", ".join(sets))
                parts.append(sets[key])
            elif piece.startswith("("):
                parts.append(tuple(piece[1:-1].split("|")))
            elif piece:
                parts.append((piece,))
        for combination in itertools.product(*parts):
            count += 1
            if count > _MAX_PHRASES:
                raise LexiconError(f"more than {_MAX_PHRASES} phrases", where=where, mend="use a pattern")
            yield "".join(combination).lower().translate(_PLAIN_MARKS)


_UNBOUNDED = re.compile(r"(?<!\\)(?:[*+]|\{[0-9]+,\})")
_USELESS = re.compile(r"\\[bBwW]")
_BOUND = re.compile(r"\{[0-9]*,?([0-9]+)\}")


_MARKS = str.maketrans({"，": ",", "！": "!", "？": r"\?", "：": ":", "；": ";", "（": r"\(", "）": r"\)"})


def normal_marks(pattern: str) -> str:
    """Return an expression with the punctuation that normalised text has (，is read as a comma)."""
    return pattern.translate(_MARKS)


def _patterns(source: str, sets: Mapping[str, tuple[str, ...]], where: str) -> tuple[Pattern, ...]:
    """Return the alternatives of a pattern, sets written out, once it is sure to run in bounded time."""
    source = normal_marks(source)
    bare = re.sub(r"\[[^\]]*\]", "x", source)
    if _USELESS.search(source):
        raise LexiconError(
            r"\b and \w do nothing next to Chinese characters",
            where=where,
            mend="write the characters that may stand there, or set boundary = true",
        )
    if _UNBOUNDED.search(bare):
        raise LexiconError(
            "a repetition without a bound can take time that grows with the square of the text",
            where=where,
            expected="{0,8} or the like in place of * and +",
        )
    for bound in _BOUND.findall(bare):
        if int(bound) > 30:
            raise LexiconError(f"a repetition of up to {bound}", where=where, expected="at most 30")
    if re.search(r"\{[0-9,]+\}\)\{[0-9,]+\}", bare):
        raise LexiconError("a repetition inside a repetition", where=where, mend="write it flat")
    unknown = set(_PLACEHOLDER.findall(source)) - set(sets)
    if unknown:
        raise LexiconError(f"unknown set {min(unknown)!r}", where=where, expected="one of " + ", ".join(sets))
    try:
        parts = [(part, gates_of(part, sets)) for part in alternatives(source)]
    except (re.error, ValueError) as error:
        raise LexiconError(f"not a regular expression: {error}", where=where) from None
    for part, gates in parts:
        if not gates:
            raise LexiconError(
                f"the alternative {part!r} has no word, or {{set}}, that every match holds",
                where=where,
                mend="make one part of it neither optional nor a negated class",
            )

    def written_out(part: str) -> str:
        return _PLACEHOLDER.sub(lambda m: _alternation(sets[m[1]]), part)

    return tuple(Pattern(written_out(part), gates) for part, gates in parts)


def _alternation(words: Iterable[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"
