"""Endpoints for those who run the service, and for corrections."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Query, Request, Response

from riskmodel import Level

from .context import context_of, json_response, read_json
from .errors import Problem, busy
from .openapi import body, problems
from .schemas import FeedbackIn, FeedbackOut, ModelOut, RecentOut, StateOut, check, to_conversation
from .store import StoreError

__all__ = ["router"]

router = APIRouter()


@router.get("/healthz", tags=["operation"], summary="Is the process alive", response_model=StateOut)
async def healthz() -> Response:
    return json_response({"status": "ok"})


@router.get(
    "/readyz",
    tags=["operation"],
    summary="Can it take work",
    responses={200: {"model": StateOut}, **problems(503)},
)
async def readyz(request: Request) -> Response:
    context = context_of(request)
    if context.closing:
        raise busy("shutting down", 5)
    return json_response({"status": "ready", "model": context.engine.model.ref.digest})


@router.get(
    "/metrics",
    tags=["operation"],
    summary="Figures for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(401, 429)},
)
async def metrics(request: Request) -> Response:
    found = context_of(request).metrics
    return Response(found.render(), headers={"content-type": found.content_type})


@router.get(
    "/v1/model", tags=["operation"], summary="The model in use", responses={200: {"model": ModelOut}, **problems(401, 429)}
)
async def model(request: Request) -> Response:
    return json_response(_card(request))


def _card(request: Request) -> dict[str, Any]:
    found = context_of(request).engine.model
    policy = {"name": found.policy.name, "digest": found.policy.digest, "thresholds": list(found.policy.thresholds)}
    card = {k: v for k, v in found.card.items() if k not in ("files", "rules")}
    return {**found.ref.to_dict(), "policy": policy, "card": card}


@router.post(
    "/v1/model/reload",
    tags=["operation"],
    summary="Load the model again",
    responses={200: {"model": ModelOut}, **problems(401, 409, 429)},
)
async def reload(request: Request) -> Response:
    """The new model is used only when it passes its checks; else the old one keeps serving."""
    context = context_of(request)
    if not context.settings.reload:
        raise Problem(409, "reloading over HTTP is off; set RISKMODEL_RELOAD=on, or send the process SIGHUP")
    await context.engine.reload()
    return json_response(_card(request))


@router.post(
    "/v1/feedback",
    tags=["feedback"],
    summary="Correct a level, a topic or the signals of turns",
    status_code=201,
    responses={201: {"model": FeedbackOut}, **problems(400, 401, 408, 409, 413, 415, 422, 429, 503)},
    openapi_extra=body("FeedbackIn", "feedback"),
)
async def feedback(request: Request) -> Response:
    context = context_of(request)
    data = await read_json(request)
    given = check(FeedbackIn, data)
    conversation = None
    if given.conversation is not None:
        conversation = to_conversation(data["conversation"], context.settings, "conversation")
    ident = conversation.id if conversation else given.conversation_id
    if not ident:
        raise _one("conversation_id", "name the conversation by conversation_id, or send it as conversation")
    if given.risk_level is None and given.topic is None and not given.turns and not given.comment:
        raise _one("risk_level", "nothing is corrected: send risk_level, topic, turns or comment")
    if conversation is not None:
        for i, item in enumerate(given.turns):
            if item.turn >= len(conversation.turns):
                raise _one(f"turns[{i}].turn", f"there is no turn {item.turn}; the conversation has {len(conversation.turns)}")
    if context.store is None:
        raise Problem(409, "corrections are not kept here: the store is off; set RISKMODEL_STORE to a file")
    store = context.store
    row = {**given.model_dump(mode="json", exclude={"conversation"}), "conversation_id": ident}
    try:
        number = await asyncio.to_thread(store.add_feedback, row, conversation)
    except StoreError as error:
        raise busy(str(error), 10) from None
    context.metrics.feedback.inc()
    request.scope["riskmodel.log"].update(conversation=ident, feedback=number)
    return json_response({"id": number, "conversation_id": ident}, 201)


def _one(field: str, detail: str) -> Problem:
    return Problem(422, f"{field}: {detail}", errors=[{"field": field, "detail": detail}])


@router.get(
    "/v1/recent",
    tags=["feedback"],
    summary="Recent risky conversations of the store",
    responses={200: {"model": RecentOut}, **problems(401, 409, 422, 429, 503)},
)
async def recent(
    request: Request,
    level: Literal["none", "low", "high", "critical"] = "high",
    limit: int = Query(20, ge=1, le=200),
) -> Response:
    context = context_of(request)
    if context.store is None:
        raise Problem(409, "nothing is kept here: the store is off; set RISKMODEL_STORE to a file")
    store = context.store
    return json_response({"conversations": await asyncio.to_thread(store.recent, Level.parse(level), limit)})
