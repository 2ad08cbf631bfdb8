"""What comes out: an assessment with evidence that points at the original words."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .taxonomy import Level, Signal, Status, Topic

__all__ = ["Action", "Assessment", "Evidence", "Finding", "ModelRef", "NotAnalysed", "Reason"]

# Enumerations are read by `_value_` below: `value` is a property in Python, and a batch reads many.
_LABELS = tuple(level.label for level in Level)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Words that show a signal: ``turns[turn].text[start:end] == text``, always.

    Attributes
    ----------
    turn : int
        Index of the turn, from 0.
    start, end : int
        Code points of the turn's original text, end exclusive.
    source : str
        ``rule:<signal>/<rule id>`` or ``model``.
    probability : float
        That the turn carries the signal with a counting status (0 to 1).
    """

    turn: int
    start: int
    end: int
    text: str
    signal: Signal
    status: Status
    source: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "turn": self.turn,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "signal": self.signal._value_,
            "status": self.status._value_,
            "source": self.source,
            "probability": self.probability,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """What the conversation as a whole shows of one signal.

    `standing` is false when the signal does not count at the end: withdrawn, or never more than
    denied, asked or reported.
    """

    signal: Signal
    probability: float
    status: Status
    turns: tuple[int, ...]
    standing: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "probability": self.probability,
            "status": self.status._value_,
            "turns": list(self.turns),
            "standing": self.standing,
        }


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature and its weight in the log-odds of `risk`."""

    feature: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        return {"feature": self.feature, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class Action:
    """Who must do what by when, and because of which signal or level."""

    action: str
    due_in_s: int
    because: str

    def to_dict(self) -> dict[str, Any]:
        return {"action": self.action, "due_in_s": self.due_in_s, "because": self.because}


@dataclass(frozen=True, slots=True)
class NotAnalysed:
    """A turn that could not be judged, and why: it is not "no risk"."""

    turn: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {"turn": self.turn, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model judged."""

    name: str
    version: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement of one conversation as it stands after its last turn."""

    id: str
    level: Level
    risk: float
    levels: tuple[float, float, float, float]
    topic: Topic
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]
    reasons: tuple[Reason, ...]
    actions: tuple[Action, ...]
    not_analysed: tuple[NotAnalysed, ...]
    model: ModelRef

    def finding(self, signal: Signal) -> Finding | None:
        """Return what was found of one signal, or None."""
        return next((f for f in self.findings if f.signal is signal), None)

    def _repr_html_(self) -> str:
        """Return level, evidence and reasons as a notebook shows them, personal data masked."""
        return str(import_module("riskmodel.display").html(None, self))

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        return {
            "id": self.id,
            "level": _LABELS[self.level],
            "risk": self.risk,
            "levels": dict(zip(_LABELS, self.levels, strict=True)),
            "topic": self.topic._value_,
            "signals": {f.signal._value_: f.to_dict() for f in self.findings},
            "evidence": [e.to_dict() for e in self.evidence],
            "reasons": [r.to_dict() for r in self.reasons],
            "actions": [a.to_dict() for a in self.actions],
            "not_analysed": [n.to_dict() for n in self.not_analysed],
            "model": self.model.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Assessment:
        """Read back what `to_dict` wrote."""
        levels = data["levels"]
        return cls(
            data["id"],
            Level.parse(data["level"]),
            data["risk"],
            (levels["none"], levels["low"], levels["high"], levels["critical"]),
            Topic(data["topic"]),
            tuple(
                Finding(Signal(s), f["probability"], Status(f["status"]), tuple(f["turns"]), f["standing"])
                for s, f in data["signals"].items()
            ),
            tuple(
                Evidence(**{**e, "signal": Signal(e["signal"]), "status": Status(e["status"])})
                for e in data["evidence"]
            ),
            tuple(Reason(**r) for r in data["reasons"]),
            tuple(Action(**a) for a in data["actions"]),
            tuple(NotAnalysed(**n) for n in data["not_analysed"]),
            ModelRef(**data["model"]),
        )
