"""The labels: levels, statuses, signals, topics, and what each signal belongs to.

The meaning of every name is in ``docs/taxonomy.md``; the Chinese and English wording for people is
in ``resources/labels.toml``.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from .errors import LabelError

__all__ = [
    "AGENT_SIGNALS",
    "CUSTOMER_SIGNALS",
    "DEMANDS",
    "HARMS",
    "OUTSIDE_STEPS",
    "SIGNALS",
    "Level",
    "Signal",
    "Status",
    "Topic",
    "parse_label",
]


class Level(IntEnum):
    """How far a conversation is from a crisis outside of it (ordinal)."""

    NONE = 0
    LOW = 1
    HIGH = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        """The lower-case name used in files and over HTTP."""
        return self.name.lower()

    @classmethod
    def parse(cls, value: str | int) -> Level:
        """Return the level for a name or a number 0 to 3."""
        try:
            if isinstance(value, str) and not value.strip().isdigit():
                return cls[value.strip().upper()]
            return cls(int(value))
        except (KeyError, ValueError):
            raise LabelError(
                f"unknown risk level {value!r}",
                expected="none, low, high or critical (or 0 to 3)",
            ) from None


class Status(StrEnum):
    """What a turn does with a signal. Only `threatened` and `done` count."""

    THREATENED = "threatened"
    DONE = "done"
    DENIED = "denied"
    ASKED = "asked"
    REPORTED = "reported"

    #: Whether the status makes the signal count towards level and actions.
    counts: bool

    def __init__(self, value: str) -> None:
        self.counts = value in ("threatened", "done")


class Signal(StrEnum):
    """What a turn can carry."""

    COMPLAINT_INTENT = "complaint_intent"
    REGULATOR_COMPLAINT = "regulator_complaint"
    MEDIA_EXPOSURE = "media_exposure"
    SOCIAL_EXPOSURE = "social_exposure"
    LEGAL_ACTION = "legal_action"
    ONSITE_PROTEST = "onsite_protest"
    MANAGEMENT_ESCALATION = "management_escalation"
    GROUP_ACTION = "group_action"
    VIOLENCE_THREAT = "violence_threat"
    SELF_HARM = "self_harm"
    CUSTOMER_INSULT = "customer_insult"
    SAFETY_INCIDENT = "safety_incident"
    PRIVACY_BREACH = "privacy_breach"
    REPEAT_COMPLAINT = "repeat_complaint"
    COMPENSATION_CLAIM = "compensation_claim"
    INFLUENTIAL_IDENTITY = "influential_identity"
    FRAUD_ALLEGATION = "fraud_allegation"
    CHURN_THREAT = "churn_threat"
    AGENT_ABUSE = "agent_abuse"
    AGENT_OVERPROMISE = "agent_overpromise"
    AGENT_LIABILITY_ADMISSION = "agent_liability_admission"
    AGENT_STONEWALLING = "agent_stonewalling"
    AGENT_PRIVACY_VIOLATION = "agent_privacy_violation"
    AGENT_OFF_PLATFORM = "agent_off_platform"

    @property
    def by_agent(self) -> bool:
        """Whether the signal stands on the agent's turns (a red line)."""
        return self.value.startswith("agent_")

    @property
    def group(self) -> str:
        """``threat``, ``insult``, ``keyword`` or ``red_line``: the families shown to people."""
        if self.by_agent:
            return "red_line"
        if self is Signal.CUSTOMER_INSULT:
            return "insult"
        return "threat" if SIGNALS.index(self) < SIGNALS.index(Signal.CUSTOMER_INSULT) else "keyword"


class Topic(StrEnum):
    """The customer's main matter."""

    PRODUCT_QUALITY = "product_quality"
    LOGISTICS = "logistics"
    SERVICE_ATTITUDE = "service_attitude"
    AFTER_SALES = "after_sales"
    REFUND_RETURN = "refund_return"
    FALSE_ADVERTISING = "false_advertising"
    BILLING = "billing"
    ACCOUNT = "account"
    PRIVACY = "privacy"
    SAFETY = "safety"
    PRESALE_ENQUIRY = "presale_enquiry"
    SERVICE_DELIVERY = "service_delivery"
    OTHER = "other"


SIGNALS: tuple[Signal, ...] = tuple(Signal)
CUSTOMER_SIGNALS: tuple[Signal, ...] = tuple(s for s in SIGNALS if not s.by_agent)
AGENT_SIGNALS: tuple[Signal, ...] = tuple(s for s in SIGNALS if s.by_agent)

#: Steps outside the conversation: two different ones make a conversation critical.
OUTSIDE_STEPS: frozenset[Signal] = frozenset(
    {
        Signal.REGULATOR_COMPLAINT,
        Signal.MEDIA_EXPOSURE,
        Signal.SOCIAL_EXPOSURE,
        Signal.LEGAL_ACTION,
        Signal.ONSITE_PROTEST,
    }
)

#: Matters of harm: they do not go down because the customer calms down.
HARMS: frozenset[Signal] = frozenset(
    {Signal.SELF_HARM, Signal.VIOLENCE_THREAT, Signal.SAFETY_INCIDENT, Signal.AGENT_ABUSE}
)

#: Signals that are a step or a demand: asserting them is `threatened` until it has happened.
#: All other signals are facts, and asserting them is `done`.
DEMANDS: frozenset[Signal] = OUTSIDE_STEPS | {
    Signal.COMPLAINT_INTENT,
    Signal.MANAGEMENT_ESCALATION,
    Signal.GROUP_ACTION,
    Signal.VIOLENCE_THREAT,
    Signal.SELF_HARM,
    Signal.CHURN_THREAT,
}


def parse_label(label: str) -> tuple[Signal, Status]:
    """Return signal and status of a label such as ``regulator_complaint:threatened``.

    Raises
    ------
    LabelError
        When either part is unknown.
    """
    name, _, status = label.partition(":")
    try:
        signal = Signal(name.strip())
    except ValueError:
        raise LabelError(f"unknown signal {name!r}", expected="one of " + ", ".join(SIGNALS)) from None
    try:
        return signal, Status(status.strip())
    except ValueError:
        raise LabelError(
            f"unknown status {status!r} of signal {name}", expected="one of " + ", ".join(Status)
        ) from None
