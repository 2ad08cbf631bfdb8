"""The same judgement while the chat runs: turn by turn, and an agent's message before it is sent.

>>> from riskmodel import Turn, Speaker, load_model
>>> from riskmodel.live import LiveConversation, guard
>>> live = LiveConversation(load_model(), "c1")
>>> update = live.add(Turn("再不退款我就打12315", Speaker.CUSTOMER))
>>> update.assessment.level.label, update.deciding_turn
('high', 0)
>>> guard(live.model, live.conversation, "有本事你去投诉啊").decision
'hold'
"""

from __future__ import annotations

import fnmatch
import operator
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, cast

import numpy as np

from .assessment import Assessment, Evidence, Finding
from .conversation import Conversation, Speaker, Turn
from .heads import TurnReader, TurnScores
from .model import RiskModel
from .normalize import NormalizedTexts
from .policy import Policy
from .table import SIDES, TurnTable
from .taxonomy import Level, Signal

__all__ = ["Change", "GuardDecision", "LiveConversation", "LiveUpdate", "decide", "guard", "guard_window"]

Array = np.ndarray[Any, Any]
Decision = Literal["allow", "warn", "hold"]

_HOLDS = frozenset({Signal.AGENT_ABUSE, Signal.AGENT_PRIVACY_VIOLATION})
_WINDOW = 4  # turns before an agent's message that can matter to what it says


@dataclass(frozen=True, slots=True)
class Change:
    """What a turn changed: `what` is ``level``, ``topic``, ``signal`` or ``action``.

    For a signal, `before` and `after` are its status, ``withdrawn`` when it no longer stands, ``weak``
    when it was never sure enough, or None when it was not there; for an action its clock in seconds.
    """

    what: Literal["level", "topic", "signal", "action"]
    name: str
    before: str | int | None
    after: str | int | None

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "name": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class LiveUpdate:
    """What is known after a turn.

    Attributes
    ----------
    turn : int
        Index of the turn that was added.
    assessment : Assessment
        Equal to the batch answer on the transcript so far.
    changed : tuple of Change
        Against the turn before; empty when the turn changed nothing.
    deciding_turn : int or None
        The turn that brought the level to where it stands; None while it never moved.
    """

    turn: int
    assessment: Assessment
    changed: tuple[Change, ...]
    deciding_turn: int | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "turn": self.turn,
            "assessment": self.assessment.to_dict(),
            "changed": [c.to_dict() for c in self.changed],
            "deciding_turn": self.deciding_turn,
        }


class LiveConversation:
    """A conversation that grows, and its assessment.

    What depends on a turn alone is kept, so that a turn costs about the same in a long chat as in a
    short one. An instance is for one thread at a time; the model may be shared.

    Parameters
    ----------
    model : RiskModel
    id : str
    past_complaints : int
        As in `RiskModel.assess`.
    **about
        ``customer_id``, ``agent_id``, ``channel``, ``opened_at``, ``meta`` of the conversation.
    """

    def __init__(self, model: RiskModel, id: str, *, past_complaints: int = 0, **about: Any) -> None:
        self.conversation = Conversation(id, (), **about)
        self.past_complaints = past_complaints
        self.assessment: Assessment | None = None
        self.deciding_turn: int | None = None
        self.use(model)

    def use(self, model: RiskModel) -> None:
        """Judge with another model from the next turn on (after a reload)."""
        self.model = model
        # The tagger is the one part whose work can be kept from turn to turn.
        self._model = replace(model, tagger=cast(TurnReader, _Remembering(model.tagger)))

    def add(self, turn: Turn, *, now: datetime | None = None) -> LiveUpdate:
        """Take the next turn and judge the transcript so far."""
        return self.extend([turn], now=now)

    def extend(self, turns: Sequence[Turn], *, now: datetime | None = None) -> LiveUpdate:
        """Take several turns at once, and judge after the last of them.

        Joining a chat late costs one judgement this way; `deciding_turn` is then the last turn taken.
        """
        if not turns:
            raise ValueError("extend needs at least one turn")
        before = self.assessment
        grown = replace(self.conversation, turns=(*self.conversation.turns, *turns))
        after = self._model.assess(grown, past_complaints=self.past_complaints, now=now)
        self.conversation, self.assessment = grown, after
        last = len(grown.turns) - 1
        if after.level is not (before.level if before else Level.NONE):
            self.deciding_turn = last
        return LiveUpdate(last, after, _changes(before, after), self.deciding_turn)


def _changes(before: Assessment | None, after: Assessment) -> tuple[Change, ...]:
    out: list[Change] = []
    level = before.level.label if before else Level.NONE.label
    if level != after.level.label:
        out.append(Change("level", "level", level, after.level.label))
    if before is not None and before.topic is not after.topic:
        out.append(Change("topic", "topic", before.topic.value, after.topic.value))
    for what, old, new in (
        ("signal", _signals(before), _signals(after)),
        ("action", _clocks(before), _clocks(after)),
    ):
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                out.append(Change(cast(Any, what), name, old.get(name), new.get(name)))
    return tuple(out)


def _signals(assessment: Assessment | None) -> Mapping[str, str | int]:
    if assessment is None:
        return {}
    return {f.signal.value: _standing(f) for f in assessment.findings}


def _standing(finding: Finding) -> str:
    if finding.standing or not finding.status.counts:
        return finding.status.value
    return "withdrawn" if finding.probability >= 0.5 else "weak"


def _clocks(assessment: Assessment | None) -> Mapping[str, str | int]:
    return {a.action: a.due_in_s for a in assessment.actions} if assessment else {}


class _Remembering:
    """A tagger that reads and scores only the turns it has not seen of one growing conversation."""

    def __init__(self, tagger: TurnReader) -> None:
        self._tagger = tagger
        self._table: TurnTable | None = None
        self._scores: TurnScores | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tagger, name)

    def read(self, conversations: Sequence[Conversation]) -> TurnTable:
        (conversation,) = conversations
        seen = self._table.conversations[0].turns if self._table is not None else ()
        if len(seen) >= len(conversation.turns) or not all(map(operator.is_, seen, conversation.turns)):
            self._table, self._scores, seen = None, None, ()  # an earlier call failed half-way
        known = len(seen)
        # The turn before the new ones is read again: a rule may ask what a turn replies to.
        context = 1 if known else 0
        fresh = replace(conversation, turns=conversation.turns[known - context :])
        table = self._tagger.read([fresh])
        scores = self._tagger.score(_without_first(table) if context else table)
        if self._table is None or self._scores is None:
            self._table, self._scores = table, scores
        else:
            self._table = _joined(self._table, table, conversation)
            self._scores = TurnScores(
                np.vstack([self._scores.customer, scores.customer[1:]]),
                np.vstack([self._scores.agent, scores.agent[1:]]),
                _stacked(self._scores.topic, scores.topic),
            )
        return self._table

    def score(self, table: TurnTable) -> TurnScores:
        assert self._scores is not None
        return self._scores


def _without_first(table: TurnTable) -> TurnTable:
    """Return the table with a first turn that nobody scores: its scores are known."""
    side = table.side.copy()
    side[0] = SIDES[Speaker.SYSTEM]
    return replace(table, side=side)


def _stacked(old: Array | None, new: Array | None) -> Array | None:
    return None if old is None or new is None else np.vstack([old, new[1:]])


def _joined(old: TurnTable, new: TurnTable, conversation: Conversation) -> TurnTable:
    """Append the turns of `new`, without its first (which `old` holds), to `old`."""
    n_old, n_texts = old.n_turns, len(old.column)
    index = {turn.text: int(i) for turn, i in zip(old.conversations[0].turns, old.text_of, strict=True)}
    wanted: list[int] = []
    text_of: list[int] = []
    for turn, own in zip(new.conversations[0].turns[1:], new.text_of[1:].tolist(), strict=True):
        if turn.text not in index:
            index[turn.text] = n_texts + len(wanted)
            wanted.append(own)
        text_of.append(index[turn.text])
    unjudged = [replace(item, turn=item.turn + n_old - 1) for item in new.not_analysed[0] if item.turn]
    return TurnTable(
        (conversation,),
        np.array([0, n_old + len(text_of)], dtype=old.bounds.dtype),
        np.concatenate([old.side, new.side[1:]]),
        np.concatenate([old.text_of, np.array(text_of, dtype=old.text_of.dtype)]),
        _appended(old.column, new.column.take(np.array(wanted, dtype=np.int64))) if wanted else old.column,
        {**old.hits, **{turn + n_old - 1: hits for turn, hits in new.hits.items() if turn}},
        ((*old.not_analysed[0], *unjudged),),
    )


def _appended(old: NormalizedTexts, new: NormalizedTexts) -> NormalizedTexts:
    widths = None
    if old.widths is not None or new.widths is not None:
        widths = np.concatenate(
            [np.ones(len(c.codes), dtype=np.int32) if c.widths is None else c.widths for c in (old, new)]
        )
    return NormalizedTexts(
        np.concatenate([old.codes, new.codes]),
        np.concatenate([old.bounds, new.bounds[1:] + old.bounds[-1]]),
        np.concatenate([old.origin, new.origin]),
        widths,
    )


# -- the guard --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GuardDecision:
    """Whether an agent's message may go out.

    Attributes
    ----------
    decision : {'allow', 'warn', 'hold'}
    signals : tuple of Signal
        The red lines crossed, gravest first.
    evidence : tuple of Evidence
        The words; `turn` is the index the message would have.
    reason, hint : str
        Why, and how it could be said instead; empty when allowed.
    not_analysed : str or None
        Why the message could not be judged; it is then allowed, not approved.
    """

    decision: Decision
    signals: tuple[Signal, ...]
    evidence: tuple[Evidence, ...]
    reason: str
    hint: str
    not_analysed: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "decision": self.decision,
            "signals": [s.value for s in self.signals],
            "evidence": [e.to_dict() for e in self.evidence],
            "reason": self.reason,
            "hint": self.hint,
            "not_analysed": self.not_analysed,
        }


def guard(model: RiskModel, conversation: Conversation | None, message: str, *, lang: str = "zh") -> GuardDecision:
    """Check an agent's message before it is sent.

    Parameters
    ----------
    conversation : Conversation or None
        The conversation so far.
    lang : {'zh', 'en'}
        Of reason and hint.
    """
    so_far = conversation.turns if conversation else ()
    window = guard_window(so_far, message)
    return decide(model.assess(window), model.policy, window, len(so_far), lang=lang)


def guard_window(so_far: Sequence[Turn], message: str, id: str = "guard") -> Conversation:
    """Return the end of the conversation with the message as the agent's next turn."""
    return Conversation(id, (*so_far[-_WINDOW:], Turn(message, Speaker.AGENT)))


def decide(
    assessment: Assessment, policy: Policy, window: Conversation, index: int, *, lang: str = "zh"
) -> GuardDecision:
    """Return the decision about the last turn of an assessed `guard_window`.

    Parameters
    ----------
    index : int
        The index the message would have in the whole conversation.
    """
    last = len(window.turns) - 1
    own = [e for e in assessment.evidence if e.turn == last and e.signal.by_agent and e.status.counts]
    sure: dict[Signal, float] = {}
    for item in own:
        sure[item.signal] = max(item.probability, sure.get(item.signal, 0.0))
    crossed = [s for s, p in sure.items() if p >= policy.low_confidence]
    held = [s for s in crossed if s in _HOLDS and sure[s] >= policy.floor_confidence]
    crossed.sort(key=lambda s: (s not in held, -policy.floors[s], -sure[s]))
    if not crossed:
        unjudged = next((n.reason for n in assessment.not_analysed if n.turn == last), None)
        return GuardDecision("allow", (), (), "", "", unjudged)
    shown = tuple(replace(e, turn=index) for e in own if e.signal in crossed)
    reason, hint = _wording(crossed[0], [e for e in shown if e.signal is crossed[0]], lang)
    return GuardDecision("hold" if held else "warn", tuple(crossed), shown, reason, hint)


def _wording(signal: Signal, evidence: Sequence[Evidence], lang: str) -> tuple[str, str]:
    entry = _hints()[signal.value]
    hint = entry["hint"]
    for special in entry.get("when", ()):
        if any(fnmatch.fnmatchcase(e.source, f"rule:{special['rule']}") for e in evidence):
            hint = special["hint"]
            break
    return str(entry["reason"][lang]), str(hint[lang])


@lru_cache(maxsize=1)
def _hints() -> Mapping[str, Any]:
    return tomllib.loads((files("riskmodel") / "resources/hints.toml").read_text("utf-8"))
