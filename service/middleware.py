"""What every request passes: a log line and an id, the gate, and a body of bounded size and time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import logs
from .access import Gatekeeper
from .errors import Problem, problem_response
from .metrics import Metrics

__all__ = ["BoundedBody", "Gate", "RequestLog"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Paths without data: open to all, so that a load balancer and a browser get that far.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/favicon.ico"})


class RequestLog:
    """Outermost: gives the request an id, counts and logs it, and turns what nobody caught into a 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope["riskmodel.request_id"] = request_id
        fields: dict[str, Any] = scope.setdefault("riskmodel.log", {})
        started = time.perf_counter()
        status = 101 if scope["type"] == "websocket" else 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logs.failure("unexpected_error", error, request_id=request_id)
            if scope["type"] == "http" and not status:
                problem = Problem(500, "an unexpected error; the log has it under the request id in `instance`")
                await problem_response(problem, request_id)(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", None) or "other"
            method = scope.get("method", "WS") if route != "other" else "any"
            self.metrics.requests.labels(route, method, str(status)).inc()
            if scope["type"] == "http":
                self.metrics.seconds.labels(route).observe(seconds)
            logs.event(
                "request", request_id=request_id, route=route, method=method, status=status,
                ms=round(seconds * 1000, 2), **fields,
            )  # fmt: skip


class Gate:
    """Lets in who has a key, at the rate they may have."""

    def __init__(self, app: ASGIApp, gatekeeper: Callable[[], Gatekeeper], metrics: Metrics) -> None:
        self.app = app
        self.gatekeeper = gatekeeper
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] in ("http", "websocket") and path not in OPEN_PATHS and not path.startswith("/static/"):
            try:
                scope.setdefault("riskmodel.log", {})["key"] = self.gatekeeper().admit(scope)
            except Problem as problem:
                self.metrics.refused.labels("rate" if problem.status == 429 else "key").inc()
                await _refuse(problem, scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = scope.get("riskmodel.request_id", "")
    if scope["type"] == "http":
        await problem_response(problem, request_id)(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await receive()  # websocket.connect
        await problem_response(problem, request_id)(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:120]})


class BoundedBody:
    """Reads the whole body first, counting bytes and time, whatever Content-Length says."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float, metrics: Metrics) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except Problem as problem:
            self.metrics.refused.labels("size" if problem.status == 413 else "slow").inc()
            # What is still on its way will not be read: the connection cannot be used again.
            problem.headers["Connection"] = "close"
            await _refuse(problem, scope, receive, send)
            return
        if body is None:
            return
        scope.setdefault("riskmodel.log", {})["bytes"] = len(body)
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self.max_bytes:
                        raise self._too_large()
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {self.timeout_s:g} s") from None

    def _too_large(self) -> Problem:
        return Problem(
            413, f"the body is larger than {self.max_bytes} bytes; send fewer conversations at once (RISKMODEL_MAX_BODY_BYTES)"
        )
