"""Whether the corpus holds to its own rules: names, sides, levels, numbers, repetition."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .cases import Case
from .conversation import Speaker
from .corpus import Corpus, Problem, looks_like
from .corpus_repeats import near_duplicates, shared_phrases
from .policy import Policy, default_policy, label_level
from .taxonomy import DEMANDS, Level, Status

__all__ = ["check", "check_corpus"]

CHANNELS = frozenset({"chat", "phone", "wecom", "ticket", "email"})
_ID = re.compile(r"(?P<author>a\d\d)-(?P<kind>[cu])\d{3,4}")
_STYLE = re.compile(r"[a-z]+(_[a-z]+)*|dialect_\w+")
_MOBILE = re.compile(r"(?<!\d)(?:\+?86)?(1[3-9]\d{9})(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)(?:0\d{2,3}[- ]?|400[- ]?|800[- ]?)\d{3,4}[- ]?\d{4}(?!\d)")
_IDENTITY = re.compile(r"(?<!\d)\d{6}(?:19|20)\d{9}[\dx](?!\d)", re.IGNORECASE)
_CARD = re.compile(r"(?<!\d)\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}(?:[ -]?\d{1,3})?(?!\d)")
_MAIL = re.compile(r"[\w.+-]+@(?P<domain>[\w-]+(?:\.[a-z]{2,})+)", re.IGNORECASE | re.ASCII)
_RESERVED = re.compile(r"(?:x+|example|test|invalid)(?:\.\w+)*|.*\.(?:example|test|invalid)", re.IGNORECASE)
_SPOKEN = str.maketrans("零〇洞一幺二两三四五六七拐八九勾", "0001122345677899")
_SUSPECT = re.compile(r"(?:\d[ -]?){7}|[零〇洞一幺二两三四五六七拐八九勾]{11}|@")
_SPOKEN_NUMBER = re.compile("[零〇洞一幺二两三四五六七拐八九勾]{11,}")


def check_corpus(corpus: Corpus) -> list[Problem]:
    """Return the problems of a corpus folder, those found while reading included."""
    return [
        *corpus.problems,
        *_splits(corpus),
        *check(corpus.cases, exceptions=corpus.exceptions, stock=corpus.stock),
    ]


def check(
    cases: Iterable[Case],
    *,
    exceptions: Mapping[str, Mapping[str, str]] | None = None,
    stock: Sequence[str] = (),
    policy: Policy | None = None,
) -> list[Problem]:
    """Return what is wrong with cases; an empty list when nothing is.

    Parameters
    ----------
    exceptions : mapping, optional
        By check (``levels``, ``statuses``, ``numbers``, ``near_duplicates``), the ids that depart
        from it with good reason. An exception that no longer is one is a problem too.
    stock : sequence of str
        Phrases that many cases may share.
    """
    cases = list(cases)
    policy = policy or default_policy()
    found = [
        *_ids(cases),
        *(problem for case in cases for problem in _shape(case)),
        *(problem for case in cases for problem in _sides(case)),
        *_excused("statuses", (p for case in cases for p in _statuses(case)), exceptions),
        *_excused(
            "levels", (p for case in cases if not case.is_utterance for p in _level(case, policy)), exceptions
        ),
        *_excused("numbers", (p for case in cases for p in _numbers(case)), exceptions),
    ]
    pairs = (
        Problem(
            "near_duplicates",
            f"{d.first} {d.second}",
            f"{d.likeness:.0f} % alike; rewrite one, or name the script in stock_phrases.toml",
        )
        for d in near_duplicates(cases, stock)
    )
    found += _excused("near_duplicates", pairs, exceptions)
    found += (
        Problem(
            "phrases",
            s.phrase,
            f"stands in {s.conversations} conversations ({', '.join(s.ids[:4])} …); rewrite, or add it to stock_phrases.toml",
        )
        for s in shared_phrases([c for c in cases if not c.is_utterance], stock)
    )
    return found


def _excused(
    kind: str, problems: Iterable[Problem], exceptions: Mapping[str, Mapping[str, str]] | None
) -> Iterator[Problem]:
    """Leave out the problems that the list of exceptions explains, and add the stale exceptions."""
    reasons = (exceptions or {}).get(kind, {})
    seen = set()
    for problem in problems:
        seen.add(problem.where)
        if not reasons.get(problem.where, "").strip():
            yield problem
    for where in reasons:
        if where not in seen:
            yield Problem("exceptions", where, f"no longer departs in {kind}; remove it from exceptions.toml")


def _splits(corpus: Corpus) -> Iterator[Problem]:
    names = Counter(author for authors in corpus.splits.values() for author in authors)
    present = {case.author for case in corpus.cases}
    for author, n in names.items():
        if n > 1:
            yield Problem("splits", author, "stands in more than one split; an author belongs to one")
        if author not in present:
            yield Problem(
                "splits", author, "has no cases; remove the author from splits.toml or add the files"
            )
    for author in sorted(present - set(names)):
        yield Problem("splits", author, "belongs to no split; add the author to splits.toml")


def _ids(cases: Sequence[Case]) -> Iterator[Problem]:
    for ident, n in Counter(case.id for case in cases).items():
        if n > 1:
            yield Problem("ids", ident, f"stands {n} times; number the cases anew")
    for case in cases:
        match = _ID.fullmatch(case.id)
        if not match or match["author"] != case.author or (match["kind"] == "u") != case.is_utterance:
            yield Problem(
                "ids",
                case.id,
                f"expected {case.author}-{'u' if case.is_utterance else 'c'} and three or four digits",
            )


def _shape(case: Case) -> Iterator[Problem]:
    if case.is_utterance:
        if any(labels is not None for labels in case.labels[:-1]) or case.labels[-1] is None:
            yield Problem("schema", case.id, "in an utterance the last turn is labelled, and no other")
        return
    if any(labels is None for labels in case.labels):
        yield Problem("schema", case.id, "a turn has no signals; write an empty list where it carries none")
    if case.topic is None:
        yield Problem("schema", case.id, "no topic")
    if case.conversation.channel not in CHANNELS:
        yield Problem(
            "schema",
            case.id,
            f"unknown channel {case.conversation.channel!r}; expected one of {', '.join(sorted(CHANNELS))}",
        )
    if not re.fullmatch("[a-z]+(_[a-z]+)*", str(case.meta.get("industry"))):
        yield Problem(
            "schema",
            case.id,
            f"industry {case.meta.get('industry')!r}; expected lower-case words such as food_delivery",
        )
    for style in case.meta.get("style", ()):
        if not _STYLE.fullmatch(style):
            yield Problem(
                "schema", case.id, f"style {style!r}; expected lower-case words such as bursts, or dialect_…"
            )


def _sides(case: Case) -> Iterator[Problem]:
    for i, (turn, labels) in enumerate(zip(case.conversation.turns, case.labels, strict=True)):
        for signal, _ in sorted(labels or ()):
            if turn.speaker is not (Speaker.AGENT if signal.by_agent else Speaker.CUSTOMER):
                yield Problem("sides", case.id, f"turn {i}: {signal} stands on a turn of the {turn.speaker}")
        for signal in sorted(looks_like(case)[i] & {s for s, st in labels or () if st.counts}):
            yield Problem("sides", case.id, f"turn {i} both carries {signal} and only looks like it")


def _statuses(case: Case) -> Iterator[Problem]:
    for i, labels in enumerate(case.labels):
        for signal, status in sorted(labels or ()):
            if status is Status.THREATENED and signal not in DEMANDS:
                yield Problem(
                    "statuses",
                    case.id,
                    f"turn {i}: {signal} is a fact, and asserting it is done, not threatened",
                )


def _level(case: Case, policy: Policy) -> Iterator[Problem]:
    """Compare the level with what the labels give.

    Without a signal a conversation is none or low: dissatisfaction is no signal. Details of the
    guide that labels do not tell (injury, fire or explosion; a slur; a following of 100 000) raise
    the level of single conversations: they are listed as exceptions.
    """
    assert case.level is not None
    floor = label_level(case.labels, case.level, policy)
    if case.level != floor and not (floor is Level.NONE and case.level is Level.LOW):
        yield Problem(
            "levels", case.id, f"is {case.level.label}, its labels give {floor.label}; mend the label, or add the id with the reason to exceptions.toml"
        )  # fmt: skip


def _numbers(case: Case) -> Iterator[Problem]:
    for i, turn in enumerate(case.conversation.turns):
        if not _SUSPECT.search(turn.text):
            continue
        text = unicodedata.normalize("NFKC", turn.text)
        spoken = " ".join(number.translate(_SPOKEN) for number in _SPOKEN_NUMBER.findall(text))
        for kind in (*_real_numbers(text), *_real_numbers(spoken)):
            yield Problem(
                "numbers", case.id, f"turn {i} holds what may be a real {kind}; mask it: 138****8000"
            )


def _real_numbers(text: str) -> Iterator[str]:
    if any(not _invented(m[1]) for m in _MOBILE.finditer(text)):
        yield "mobile number"
    if any(not _invented(re.sub(r"\D", "", m[0])) for m in _LANDLINE.finditer(_CARD.sub("", text))):
        yield "telephone number"
    if _IDENTITY.search(text):
        yield "identity number"
    if any(_luhn(re.sub(r"\D", "", m[0])) for m in _CARD.finditer(text)):
        yield "card number"
    if any(not _RESERVED.fullmatch(m["domain"]) for m in _MAIL.finditer(text)):
        yield "address"


def _invented(digits: str) -> bool:
    """Whether a number shows that it is made up: four equal digits in a row, or few different ones.

    China reserves no range of numbers for fiction; this is the corpus's own convention.
    """
    return re.search(r"(\d)\1{3}", digits) is not None or len(set(digits)) <= 4


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
