"""One conversation as a report shows it: bubbles with marked words, why this level, what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from .assessment import Assessment, Evidence
from .conversation import Conversation, Turn
from .policy import Policy
from .privacy import PersonalSpan, Pseudonyms, mask_text
from .taxonomy import Level, Signal
from .wording import duration, word

__all__ = ["Bubble", "Gap", "Mark", "View", "view"]

_MAX_TURNS = 80
_MAX_CHARACTERS = 2_000
_MAX_EVIDENCE = 30
_MAX_WORDS = 200
_SURE = 0.5
_ORDER = ("red_line", "threat", "insult", "keyword")

Words = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of a message: plain when `group` is empty."""

    text: str
    group: str = ""
    faint: bool = False
    title: str = ""
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message."""

    number: int
    speaker: str
    side: str
    time: str
    marks: tuple[Mark, ...]
    cut: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that are left out of a very long conversation."""

    omitted: int


@dataclass(frozen=True, slots=True)
class View:
    """A conversation for the template; every string is plain text that the template escapes."""

    id: str
    level: str
    risk: float
    topic: str
    agent: str
    channel: str
    time: str
    signals: tuple[tuple[str, str], ...]
    bubbles: tuple[Bubble | Gap, ...]
    evidence: tuple[tuple[int, str, str, Mark], ...]
    floors: tuple[tuple[str, str], ...]
    chances: tuple[tuple[str, float, float], ...]
    other_cause: bool
    reasons: tuple[tuple[str, float], ...]
    actions: tuple[tuple[str, str, str, str], ...]
    unread: tuple[tuple[int, str], ...]


def view(
    assessment: Assessment,
    conversation: Conversation | None,
    policy: Policy,
    lang: str,
    words: Words,
    *,
    masked: bool,
    agent: str,
) -> View:
    """Return what the report shows of one conversation; `conversation` is None when only the score is known."""
    memory = Pseudonyms() if masked else None
    if memory and conversation:
        for turn in conversation.turns:
            memory.learn(turn.text)

    spans = [memory.spans(t.text) if memory else () for t in conversation.turns] if conversation else []

    def safe(text: str) -> str:
        return mask_text(text, memory) if memory else text

    def words_of(item: Evidence) -> str:
        if not conversation or not memory or not _fits(item, conversation):
            return safe(item.text[:_MAX_WORDS])
        return _masked_words(item, conversation.turns[item.turn].text, spans[item.turn], memory)

    level, floors = policy.decide(_at_least(assessment), assessment.findings, assessment.evidence)
    return View(
        id=safe(assessment.id),
        level=assessment.level.label,
        risk=assessment.risk,
        topic=assessment.topic.value,
        agent=agent,
        channel=safe(conversation.channel or "") if conversation else "",
        time=_when(conversation),
        signals=tuple((f.signal.value, f.signal.group) for f in assessment.findings if f.standing),
        bubbles=tuple(_bubbles(assessment, conversation, lang, words, memory, spans)) if conversation else (),
        evidence=tuple(
            (e.turn + 1, e.signal.value, e.status.value, _mark(words_of(e), e, lang, words))
            for e in _best(assessment.evidence)
        ),
        floors=tuple(dict.fromkeys((f.label, _floor_name(name, lang, words)) for f, name in sorted(floors, key=lambda f: -f[0]))),
        chances=tuple(
            (Level(k).label, p, t) for k, (p, t) in enumerate(zip(_at_least(assessment), policy.thresholds, strict=True), 1)
        ),
        other_cause=level != assessment.level,
        reasons=tuple((_feature(r.feature, lang, words, safe), r.weight) for r in assessment.reasons[:10]),
        actions=tuple(
            (word("action", a.action, lang), duration(a.due_in_s, lang), _due(conversation, a.due_in_s), _cause(a.because, lang))
            for a in assessment.actions
        ),
        unread=tuple((n.turn + 1, n.reason) for n in assessment.not_analysed[:50]),
    )


def _at_least(assessment: Assessment) -> tuple[float, float, float]:
    _, low, high, critical = assessment.levels
    return low + high + critical, high + critical, critical


def _sure(item: Evidence) -> bool:
    return item.status.counts and item.probability >= _SURE


def _best(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the surest evidence first, without words inside others of the same signal."""
    kept: list[Evidence] = []
    for item in sorted(evidence, key=lambda e: (not _sure(e), -e.probability, e.start - e.end)):
        within = (k for k in kept if (k.turn, k.signal) == (item.turn, item.signal))
        if len(kept) < _MAX_EVIDENCE and not any(k.start <= item.start and item.end <= k.end for k in within):
            kept.append(item)
    return kept


def _mark(text: str, item: Evidence, lang: str, words: Words, personal: bool = False) -> Mark:
    kind, _, rule = item.source.rpartition("/")
    source = f"{words('page', 'rule')} {rule}" if kind else words("page", "learned")
    title = f"{word('signal', item.signal.value, lang)} · {word('status', item.status.value, lang)} · {item.probability:.2f} · {source}"
    return Mark(text, item.signal.group, not _sure(item), title, personal)


def _bubbles(
    assessment: Assessment,
    conversation: Conversation,
    lang: str,
    words: Words,
    memory: Pseudonyms | None,
    spans: Sequence[Sequence[PersonalSpan]],
) -> Iterator[Bubble | Gap]:
    by_turn: dict[int, list[Evidence]] = {}
    for item in assessment.evidence:
        if _fits(item, conversation):  # evidence of another file must not mark the wrong words
            by_turn.setdefault(item.turn, []).append(item)
    unread: dict[int, list[str]] = {}
    for n in assessment.not_analysed:
        unread.setdefault(n.turn, []).append(word("not_analysed", n.reason, lang))
    last = -1
    for i in _chosen(len(conversation.turns), by_turn):
        if i > last + 1:
            yield Gap(i - last - 1)
        last = i
        turn = conversation.turns[i]
        notes = list(unread.get(i, ()))
        if turn.recalled and words("page", "recalled") not in notes:
            notes.append(words("page", "recalled"))
        yield Bubble(
            i + 1,
            word("speaker", turn.speaker.value, lang),
            turn.speaker.value,
            (turn.time or "")[11:16],
            tuple(_marks(turn, by_turn.get(i, []), lang, words, memory, spans[i])),
            max(0, len(turn.text) - _MAX_CHARACTERS),
            tuple(notes),
        )
    if last < len(conversation.turns) - 1:
        yield Gap(len(conversation.turns) - 1 - last)


def _chosen(count: int, by_turn: dict[int, list[Evidence]]) -> Sequence[int]:
    """Return the turns to show: all of a short conversation, else what stands around the evidence."""
    if count <= _MAX_TURNS:
        return range(count)
    chosen = {0, 1, *range(count - 3, count)}
    for turn in sorted(by_turn, key=lambda t: -max((e.probability for e in by_turn[t] if e.status.counts), default=0.0)):
        if len(chosen) >= _MAX_TURNS:
            break
        chosen.update(range(max(0, turn - 2), min(count, turn + 3)))
    return sorted(chosen)


def _fits(item: Evidence, conversation: Conversation) -> bool:
    turns = conversation.turns
    return 0 <= item.turn < len(turns) and turns[item.turn].text[item.start : item.end] == item.text


def _masked_words(item: Evidence, text: str, spans: Sequence[PersonalSpan], memory: Pseudonyms) -> str:
    """Return the words of evidence; personal data that they only touch is masked whole."""
    parts, at = [], item.start
    end = min(item.end, item.start + _MAX_WORDS)
    for span in spans:
        if span.start < end and span.end > item.start:
            parts += [text[at : max(at, span.start)], memory.token(span)]
            at = span.end
    return "".join(parts) + text[at : max(at, end)]


def _marks(
    turn: Turn,
    evidence: Sequence[Evidence],
    lang: str,
    words: Words,
    memory: Pseudonyms | None,
    spans: Sequence[PersonalSpan],
) -> Iterator[Mark]:
    """Cut a message where marked words and personal data begin and end."""
    text = turn.text[:_MAX_CHARACTERS]
    shown = sorted(
        (e for e in evidence if e.start < len(text)),
        key=lambda e: (not _sure(e), _ORDER.index(e.signal.group), -e.probability),
    )
    hidden = {s.start: s for s in spans if s.start < len(text)}
    inside = {k for s in hidden.values() for k in range(s.start + 1, s.end)}
    cuts = {0, len(text), *(k for s in hidden.values() for k in (s.start, s.end))}
    cuts |= {k for e in shown for k in (e.start, e.end)}
    bounds = sorted(k for k in cuts - inside if k <= len(text) or k - 1 in inside)
    for start, end in pairwise(bounds):
        span = hidden.get(start)
        piece = memory.token(span) if memory and span else text[start:end]
        best = next((e for e in shown if e.start < end and e.end > start), None)
        if piece:
            yield _mark(piece, best, lang, words, span is not None) if best else Mark(piece, personal=span is not None)


def _floor_name(name: str, lang: str, words: Words) -> str:
    signal, _, rule = name.partition("/")
    if rule:
        return f"{word('signal', signal, lang)} · {words('page', 'rule')} {rule}"
    return word("signal", name, lang) if name in set(Signal) else words("combination", name)


def _feature(name: str, lang: str, words: Words, safe: Callable[[str], str]) -> str:
    kind, _, rest = name.partition(":")
    if kind in ("signal", "status") and rest:
        return word(kind, rest, lang)
    return f"“{safe(rest)}”" if kind == "words" else words("feature", name)


def _cause(name: str, lang: str) -> str:
    known = word("signal", name, lang)
    return known if known != name else word("level", name, lang)


def _when(conversation: Conversation | None) -> str:
    if conversation is None:
        return ""
    text = conversation.opened_at or next((t.time for t in conversation.turns if t.time), None) or ""
    return text[:16].replace("T", " ")


def _due(conversation: Conversation | None, seconds: int) -> str:
    """Return the deadline, counted from the last message whose time is known."""
    text = next((t.time for t in reversed(conversation.turns) if t.time), None) if conversation else None
    try:
        return (datetime.fromisoformat(text) + timedelta(seconds=seconds)).strftime("%m-%d %H:%M") if text else ""
    except (ValueError, OverflowError):
        return ""

