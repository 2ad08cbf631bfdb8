"""What goes in and out, for OpenAPI and for checking what came in. Meaning: docs/http.md."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from riskmodel import Conversation, RiskModelError, Signal, Status, Topic

from .errors import Problem, field_errors, from_riskmodel
from .settings import Settings

__all__ = [
    "AssessmentOut",
    "BatchIn",
    "BatchOut",
    "ConversationIn",
    "FeedbackIn",
    "FeedbackOut",
    "GuardIn",
    "GuardOut",
    "HeatIn",
    "HeatOut",
    "ProblemOut",
    "check",
    "examples",
    "parse_json",
    "to_conversation",
]

LevelName = Literal["none", "low", "high", "critical"]
Label = Annotated[StrictStr, Field(pattern=f"^({'|'.join(Signal)}):({'|'.join(Status)})$")]
Share = Annotated[float, Field(ge=0, le=1)]
Index = Annotated[StrictInt, Field(ge=0, le=1_000_000)]
Past = Annotated[StrictInt, Field(ge=0, le=10_000)]
Id = Annotated[StrictStr, Field(min_length=1, max_length=200)]
OptionalText = Annotated[StrictStr, Field(max_length=200)] | StrictInt | None


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


# -- in -----------------------------------------------------------------------------------------


class TurnIn(_Open):
    """One message."""

    text: StrictStr = Field(description="The original text; evidence offsets count its Unicode code points.")
    speaker: Literal["customer", "agent", "system", "unknown"] | None = "unknown"
    time: StrictStr | None = Field(None, description="ISO 8601")
    recalled: StrictBool = False


class _About(_Open):
    id: Id | StrictInt
    customer_id: OptionalText = None
    agent_id: OptionalText = None
    channel: OptionalText = None
    opened_at: OptionalText = None


class ConversationIn(_About):
    """One conversation; keys that are not listed are kept and ignored."""

    turns: Annotated[list[TurnIn], Field(min_length=1)]


class ConversationSoFar(_About):
    """A conversation that may still be empty."""

    turns: list[TurnIn] = []


class BatchIn(_In):
    """Several conversations; a bare array of conversations is taken as well."""

    conversations: Annotated[list[ConversationIn], Field(min_length=1)]
    past_complaints: list[Past] | None = Field(None, description="One number for each conversation.")
    explain: StrictBool = False


class GuardIn(_In):
    """An agent's message before it is sent."""

    message: Annotated[StrictStr, Field(max_length=20_000)]
    conversation: ConversationSoFar | None = None
    lang: Literal["zh", "en"] = "zh"


class HeatIn(_In):
    """Which characters of a turn speak for a signal."""

    conversation: ConversationIn
    turn: Index
    signal: Signal


class TurnLabels(_In):
    """All signals that a turn really carries; an empty list says: none."""

    turn: Index
    signals: list[Label]


class FeedbackIn(_In):
    """A person's correction; name the conversation by `conversation_id` or send it whole."""

    conversation_id: Id | None = None
    conversation: ConversationIn | None = None
    risk_level: LevelName | None = None
    topic: Topic | None = None
    turns: Annotated[list[TurnLabels], Field(max_length=2_000)] = []
    comment: Annotated[StrictStr, Field(max_length=2_000)] = ""
    author: Annotated[StrictStr, Field(max_length=100)] = ""


# -- out ----------------------------------------------------------------------------------------


class EvidenceOut(BaseModel):
    turn: int
    start: int
    end: int
    text: str
    signal: Signal
    status: Status
    source: str
    probability: Share


class FindingOut(BaseModel):
    probability: Share
    status: Status
    turns: list[int]
    standing: bool


class ReasonOut(BaseModel):
    feature: str
    weight: float


class ActionOut(BaseModel):
    action: str
    due_in_s: int
    because: str


class NotAnalysedOut(BaseModel):
    turn: int
    reason: str


class ModelRefOut(BaseModel):
    name: str
    version: str
    digest: str


class LevelsOut(BaseModel):
    none: Share
    low: Share
    high: Share
    critical: Share


class AssessmentOut(BaseModel):
    """The judgement; `turns[e.turn].text[e.start:e.end] == e.text` for each evidence."""

    id: str
    level: LevelName
    risk: Share
    levels: LevelsOut
    topic: Topic
    signals: dict[str, FindingOut]
    evidence: list[EvidenceOut]
    reasons: list[ReasonOut]
    actions: list[ActionOut]
    not_analysed: list[NotAnalysedOut]
    model: ModelRefOut


class BatchOut(BaseModel):
    """The assessments in the order of the conversations."""

    assessments: list[AssessmentOut]


class GuardOut(BaseModel):
    decision: Literal["allow", "warn", "hold"]
    signals: list[Signal]
    evidence: list[EvidenceOut]
    reason: str
    hint: str
    not_analysed: str | None


class HeatOut(BaseModel):
    """What each character adds to the signal's log-odds."""

    turn: int
    signal: Signal
    characters: list[str]
    weights: list[float]


class ModelOut(_Open):
    name: str
    version: str
    digest: str
    policy: dict[str, Any]
    card: dict[str, Any]


class FeedbackOut(BaseModel):
    id: int
    conversation_id: str


class RecentItem(BaseModel):
    conversation_id: str
    at: str
    assessment: AssessmentOut
    conversation: dict[str, Any] | None


class RecentOut(BaseModel):
    conversations: list[RecentItem]


class StateOut(BaseModel):
    status: str


class FieldProblem(_Open):
    field: str
    detail: str
    expected: str | None = None
    mend: str | None = None


class ProblemOut(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldProblem] | None = None


# -- checking -----------------------------------------------------------------------------------

_ADAPTERS: dict[type[BaseModel], TypeAdapter[Any]] = {
    model: TypeAdapter(model) for model in (ConversationIn, ConversationSoFar, TurnIn, BatchIn, GuardIn, HeatIn, FeedbackIn)
}


def parse_json(body: bytes) -> Any:
    """Read a body.

    Raises
    ------
    Problem
        400, saying where the JSON breaks or which encoding the body seems to have.
    """
    if not body:
        raise Problem(400, "the body is empty; send a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, _why_no_json(body, error)) from None


def _why_no_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        return "the body starts with a byte order mark; send UTF-8 without it"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as broken:
        try:
            body.decode("gb18030")
        except UnicodeDecodeError:
            return f"the body is not UTF-8: byte {broken.start} cannot be read; send JSON in UTF-8"
        return f"the body is not UTF-8 (byte {broken.start}) but reads as GB18030; convert it to UTF-8 before sending"
    return f"the body is not valid JSON: {error.msg.split(':')[0]} at line {error.lineno}, column {error.colno}"


def check(model: type[BaseModel], data: Any) -> Any:
    """Return `data` as the schema's object, or raise a 422 that names the fields."""
    try:
        return _ADAPTERS[model].validate_python(data)
    except ValidationError as error:
        errors = field_errors(error)
        raise Problem(422, "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:3]), errors=errors) from None


def to_conversation(data: Any, settings: Settings, field: str = "") -> Conversation:
    """Return the conversation of a JSON object, within the limits.

    Raises
    ------
    Problem
        422 in the words of the library, or 413 naming the limit.
    """
    try:
        _ADAPTERS[ConversationIn].validate_python(data)
    except ValidationError as error:
        raise _in_library_words(data, error, field) from None
    conversation = Conversation.from_dict(data)
    check_limits(conversation, settings, field)
    return conversation


def _in_library_words(data: Any, error: ValidationError, field: str) -> Problem:
    errors = field_errors(error)
    if field:
        errors = [{**e, "field": f"{field}.{e['field']}" if e["field"] != "body" else field} for e in errors]
    words = "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:3])
    try:
        Conversation.from_dict(data)
    except RiskModelError as own:
        # A speaker's name that is not known is not repeated: columns that were swapped put text there.
        if "unknown speaker" in own.what:
            own = type(own)("unknown speaker", where=own.where, expected=own.expected, mend=own.mend)
        problem = from_riskmodel(own, errors[0]["field"])
        problem.errors += [e for e in errors if e["field"] != errors[0]["field"]][:19]
        return problem
    return Problem(422, words, errors=errors)


def check_limits(conversation: Conversation, settings: Settings, field: str = "") -> None:
    """Raise a 413 for a conversation past the limits."""
    prefix = f"{field}." if field else ""
    if len(conversation.turns) > settings.max_turns:
        raise _too_long(f"{prefix}turns", f"{len(conversation.turns)} turns", settings.max_turns, "RISKMODEL_MAX_TURNS")
    total = 0
    for i, turn in enumerate(conversation.turns):
        length = len(turn.text)
        total += length
        if length > settings.max_turn_chars:
            name = f"{prefix}turns[{i}].text"
            raise _too_long(name, f"{length} characters", settings.max_turn_chars, "RISKMODEL_MAX_TURN_CHARS")
    if total > settings.max_conversation_chars:
        raise _too_long(f"{prefix}turns", f"{total} characters", settings.max_conversation_chars, "RISKMODEL_MAX_CONVERSATION_CHARS")


def _too_long(field: str, what: str, most: int, setting: str) -> Problem:
    detail = f"{field} has {what}, {most} are allowed ({setting})"
    return Problem(413, detail, errors=[{"field": field, "detail": what, "expected": f"at most {most}"}])


@lru_cache(maxsize=1)
def examples() -> dict[str, Any]:
    """Return the examples that OpenAPI shows, by name."""
    found: dict[str, Any] = orjson.loads((files("service") / "resources/examples.json").read_bytes())
    return found
