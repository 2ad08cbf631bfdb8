"""What the endpoints of one app share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response, WebSocket

from riskmodel import Assessment, Conversation

from .access import Gatekeeper
from .alerts import Alerts
from .engine import Engine
from .errors import Problem
from .metrics import Metrics
from .schemas import parse_json
from .settings import Settings
from .store import Store

__all__ = ["Context", "context_of", "json_response", "read_json"]


@dataclass(slots=True)
class Context:
    """Everything an endpoint may need; made once an app."""

    settings: Settings
    metrics: Metrics
    engine: Engine
    gatekeeper: Gatekeeper
    store: Store | None
    alerts: Alerts | None
    sockets: int = 0
    closing: bool = False

    def note(self, conversation: Conversation, assessment: Assessment, door: str, record: bool = True) -> None:
        """Count an assessment and, when asked to, store it and tell who must know."""
        self.metrics.assessed(assessment, door)
        if not record:
            return
        if self.store is not None:
            self.store.put(conversation, assessment)
        if self.alerts is not None and assessment.level >= self.settings.least_alert:
            now = self.engine.now()
            findings = assessment.findings
            actions = self.engine.model.policy.actions_for(assessment.level, findings, now) if now else assessment.actions
            self.alerts.tell(conversation, assessment, actions)


def context_of(request: Request | WebSocket) -> Context:
    """Return the app's context."""
    context: Context = request.app.state.context
    return context


async def read_json(request: Request) -> Any:
    """Return the JSON body.

    Raises
    ------
    Problem
        415 or 400.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, "send the header Content-Type: application/json")
    return parse_json(await request.body())


def json_response(data: Any, status: int = 200) -> Response:
    """Return an answer of plain data."""
    return Response(orjson.dumps(data), status, media_type="application/json")
