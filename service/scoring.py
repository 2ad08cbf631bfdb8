"""Endpoints that judge: score, batch, guard, heat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Query, Request, Response

from riskmodel import Assessment, Conversation
from riskmodel.live import decide, guard_window

from .context import Context, context_of, json_response, read_json
from .errors import Problem
from .openapi import body, problems
from .schemas import (
    AssessmentOut,
    BatchIn,
    BatchOut,
    GuardIn,
    GuardOut,
    HeatIn,
    HeatOut,
    check,
    check_limits,
    to_conversation,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["scoring"])

_PAST = Query(0, ge=0, le=10_000, description="Complaints of this customer on this topic in the policy's window before.")
_EXPLAIN = Query(False, description="Tell the reasons down to single words.")
_RECORD = Query(True, description="Off: neither store nor alert (for trying things out).")


@router.post(
    "/score",
    summary="Judge one conversation",
    responses={200: {"model": AssessmentOut}, **problems(400, 401, 408, 413, 415, 422, 429, 503)},
    openapi_extra=body("ConversationIn", "conversation"),
)
async def score(
    request: Request, past_complaints: int = _PAST, explain: bool = _EXPLAIN, record: bool = _RECORD
) -> Response:
    context = context_of(request)
    conversation = to_conversation(await read_json(request), context.settings)
    assessment = await context.engine.assess(conversation, past_complaints, explain)
    context.note(conversation, assessment, "score", record)
    _log(request, [conversation], [assessment])
    return json_response(assessment.to_dict())


@router.post(
    "/score/batch",
    summary="Judge several conversations",
    responses={200: {"model": BatchOut}, **problems(400, 401, 408, 413, 415, 422, 429, 503)},
    openapi_extra=body("BatchIn", "batch"),
)
async def score_batch(request: Request, record: bool = _RECORD) -> Response:
    """All conversations are judged, or none: an error names every one that cannot be used."""
    context = context_of(request)
    data = await read_json(request)
    if isinstance(data, list):
        data = {"conversations": data}
    given = data.get("conversations") if isinstance(data, dict) else None
    if not isinstance(given, list) or not given:
        check(BatchIn, data)
        raise Problem(422, "conversations: expected a list of conversations")
    if len(given) > context.settings.max_batch:
        raise Problem(
            413,
            f"{len(given)} conversations, {context.settings.max_batch} are allowed in a batch (RISKMODEL_MAX_BATCH)",
            errors=[{"field": "conversations", "detail": f"{len(given)} items", "expected": f"at most {context.settings.max_batch}"}],
        )
    conversations = _all_of(given, context)
    rest = check(BatchIn, {**data, "conversations": [{"id": "checked", "turns": [{"text": ""}]}]})
    past = rest.past_complaints or [0] * len(conversations)
    if len(past) != len(conversations):
        raise Problem(
            422,
            f"past_complaints has {len(past)} numbers for {len(conversations)} conversations; send one for each",
            errors=[{"field": "past_complaints", "detail": f"{len(past)} numbers", "expected": f"{len(conversations)}"}],
        )
    found = await context.engine.assess_batch(conversations, past, rest.explain)
    for conversation, assessment in zip(conversations, found, strict=True):
        context.note(conversation, assessment, "batch", record)
    _log(request, conversations, found)
    return json_response({"assessments": [a.to_dict() for a in found]})


def _all_of(given: Sequence[Any], context: Context) -> list[Conversation]:
    out: list[Conversation] = []
    bad: list[Problem] = []
    for i, item in enumerate(given):
        try:
            out.append(to_conversation(item, context.settings, f"conversations[{i}]"))
        except Problem as problem:
            bad.append(problem)
    if bad:
        detail = bad[0].detail if len(bad) == 1 else f"{len(bad)} conversations cannot be used; the first: {bad[0].detail}"
        raise Problem(min(p.status for p in bad[:1]), detail, errors=[e for p in bad for e in p.errors])
    return out


@router.post(
    "/guard",
    summary="Check an agent's message before it is sent",
    responses={200: {"model": GuardOut}, **problems(400, 401, 408, 413, 415, 422, 429, 503)},
    openapi_extra=body("GuardIn", "guard"),
)
async def guard_message(request: Request) -> Response:
    context = context_of(request)
    data = await read_json(request)
    asked = check(GuardIn, data)
    so_far = data.get("conversation")
    turns = to_conversation(so_far, context.settings, "conversation").turns if so_far and so_far.get("turns") else ()
    window = guard_window(turns, asked.message)
    check_limits(window, context.settings)
    assessment = await context.engine.assess(window)
    found = decide(assessment, context.engine.model.policy, window, len(turns), lang=asked.lang)
    context.metrics.guards.labels(found.decision).inc()
    request.scope["riskmodel.log"].update(turns=len(turns), chars=len(asked.message), decision=found.decision)
    return json_response(found.to_dict())


@router.post(
    "/heat",
    summary="Which characters of a turn speak for a signal",
    responses={200: {"model": HeatOut}, **problems(400, 401, 408, 413, 415, 422, 429, 503)},
    openapi_extra=body("HeatIn", "heat"),
)
async def heat(request: Request) -> Response:
    context = context_of(request)
    data = await read_json(request)
    asked = check(HeatIn, data)
    conversation = to_conversation(data["conversation"], context.settings, "conversation")
    if asked.turn >= len(conversation.turns):
        raise Problem(
            422,
            f"turn: there is no turn {asked.turn}; the conversation has {len(conversation.turns)}, counted from 0",
            errors=[{"field": "turn", "detail": "no such turn", "expected": f"0 to {len(conversation.turns) - 1}"}],
        )
    one = Conversation(conversation.id, conversation.turns[asked.turn : asked.turn + 1])
    model, signal = context.engine.model, asked.signal
    found = await context.engine.run(lambda: model.heat(one, 0, signal))
    request.scope["riskmodel.log"].update(conversation=conversation.id, chars=len(found))
    return json_response(
        {
            "turn": asked.turn,
            "signal": signal.value,
            "characters": [c for c, _ in found],
            "weights": [round(w, 4) for _, w in found],
        }
    )


def _log(request: Request, conversations: Sequence[Conversation], found: Sequence[Assessment]) -> None:
    fields = request.scope["riskmodel.log"]
    fields["turns"] = sum(len(c.turns) for c in conversations)
    if len(found) == 1:
        fields["conversation"] = conversations[0].id
        fields["level"] = found[0].level.label
        fields["risk"] = found[0].risk
    else:
        fields["conversations"] = len(found)
