"""``WS /v1/live``: a turn in, an assessment out. The messages are in docs/http.md."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from riskmodel import Conversation, RiskModelError, Turn
from riskmodel.live import LiveConversation, decide, guard_window

from . import logs
from .access import TokenBucket
from .context import Context, context_of
from .errors import Problem, busy, from_riskmodel, problem_response
from .schemas import ConversationSoFar, TurnIn, check, check_limits, parse_json

__all__ = ["router"]

router = APIRouter()

_PROTOCOL = "riskmodel"
_MAX_MISTAKES = 20  # a client that sends nonsense is closed
_FIELDS = ("customer_id", "agent_id", "channel", "opened_at")


class _Close(Exception):  # noqa: N818
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class _Chat:
    live: LiveConversation
    record: bool = True
    used: float = field(default_factory=time.monotonic)


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    context = context_of(socket)
    if context.closing or context.sockets >= context.settings.live_max:
        problem = busy("too many open WebSockets; try again in a few seconds", 5)
        await socket.send_denial_response(problem_response(problem, str(socket.scope.get("riskmodel.request_id", ""))))
        return
    protocol = _PROTOCOL if _PROTOCOL in socket.scope.get("subprotocols", ()) else None
    await socket.accept(subprotocol=protocol)
    context.sockets += 1
    context.metrics.sockets.set(context.sockets)
    session = _Session(socket, context)
    try:
        await session.run()
    finally:
        context.sockets -= 1
        context.metrics.sockets.set(context.sockets)
        socket.scope["riskmodel.log"].update(turns=session.turns, conversations=session.seen)


class _Session:
    """One WebSocket and the conversations on it."""

    def __init__(self, socket: WebSocket, context: Context) -> None:
        self.socket = socket
        self.context = context
        self.settings = context.settings
        self.chats: dict[str, _Chat] = {}
        self.latest = ""
        self.turns = 0
        self.seen = 0
        self.mistakes = 0
        rate = self.settings.live_rate_per_s
        self.bucket = TokenBucket(rate, max(rate * 2, 10)) if rate else None
        self.sending = asyncio.Lock()

    async def run(self) -> None:
        """Serve until the client leaves, falls silent, or misbehaves."""
        beat = asyncio.create_task(self._beat())
        try:
            while True:
                try:
                    async with asyncio.timeout(self.settings.live_idle_s):
                        message = await self.socket.receive()
                except TimeoutError:
                    raise _Close(1001, f"nothing came for {self.settings.live_idle_s:g} s") from None
                if message["type"] == "websocket.disconnect":
                    return
                await self._take(message.get("text"), message.get("bytes"))
        except _Close as close:
            beat.cancel()
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self.socket.close(close.code, close.reason)
        except (WebSocketDisconnect, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "websocket" not in str(error).lower():
                raise
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        """Say that the server is there, and close when it is about to go."""
        waited = 0.0
        while True:
            pause = min(self.settings.live_heartbeat_s, 0.5)
            await asyncio.sleep(pause)
            waited += pause
            try:
                if self.context.closing:
                    await self.socket.close(1012, "the server is restarting")
                    return
                if waited >= self.settings.live_heartbeat_s:
                    waited = 0.0
                    await self._send({"type": "heartbeat", "conversations": len(self.chats)})
            except (RuntimeError, WebSocketDisconnect):
                return

    async def _send(self, data: dict[str, Any]) -> None:
        async with self.sending:  # a client that does not read stops its own turns, nobody else's
            await self.socket.send_text(orjson.dumps(data).decode())

    async def _take(self, text: str | None, raw: bytes | None) -> None:
        body = text.encode("utf-8", "replace") if text is not None else raw or b""
        if len(body) > self.settings.live_message_bytes:
            raise _Close(1009, f"a message may have {self.settings.live_message_bytes} bytes")
        given: Any = None
        try:
            wait = self.bucket.take() if self.bucket else 0.0
            if wait:
                self.context.metrics.refused.labels("rate").inc()
                raise Problem(
                    429, f"too many messages; this one was not taken, send it again in {wait:.2f} s",
                    headers={"Retry-After": "1"},
                )  # fmt: skip
            given = parse_json(body)
            await self._answer(given)
        except (Problem, RiskModelError) as error:
            problem = error if isinstance(error, Problem) else from_riskmodel(error)
            await self._send({"type": "error", **_names(given), "problem": problem.to_dict()})
            if problem.status != 429:
                self.mistakes += 1
            if self.mistakes >= _MAX_MISTAKES:
                raise _Close(1008, "too many messages that cannot be used") from None
        except (_Close, WebSocketDisconnect):
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and "websocket" in str(error).lower():
                raise
            logs.failure("unexpected_error", error, request_id=self.socket.scope.get("riskmodel.request_id"))
            await self._send({"type": "error", **_names(given), "problem": Problem(500, "an unexpected error").to_dict()})
            raise _Close(1011, "an unexpected error") from None

    async def _answer(self, given: Any) -> None:
        if not isinstance(given, dict):
            raise Problem(422, "a message is an object such as {\"type\": \"turn\", \"turn\": {\"speaker\": …, \"text\": …}}")
        kind = given.get("type")
        if kind is None and "text" in given:  # the shortest client: a bare turn
            kind, given = "turn", {"turn": given}
        if kind == "start":
            await self._start(given)
        elif kind == "turn":
            await self._turn(given)
        elif kind == "guard":
            await self._guard(given)
        elif kind == "ping":
            await self._send({"type": "pong", **_names(given)})
        elif kind == "end":
            await self._end(given)
        else:
            raise Problem(
                422, "unknown type of message; expected start, turn, guard, ping or end",
                errors=[{"field": "type", "detail": "unknown", "expected": "start, turn, guard, ping or end"}],
            )  # fmt: skip

    def _chat(self, given: dict[str, Any]) -> tuple[str, _Chat]:
        """Return the conversation a message is about: the one it names, or the latest started."""
        ident = given.get("conversation", self.latest) or ""
        if not isinstance(ident, str) or len(ident) > 200:
            raise Problem(422, "conversation: expected the id of a conversation, at most 200 characters")
        if ident not in self.chats:
            self._open(ident or f"live-{uuid4().hex[:12]}", {})
            ident = self.latest
        chat = self.chats[ident]
        chat.used = time.monotonic()
        return ident, chat

    def _open(self, ident: str, about: dict[str, Any], past: int = 0, record: bool = True) -> _Chat:
        if ident not in self.chats and len(self.chats) >= self.settings.live_conversations:
            raise Problem(
                413,
                f"{len(self.chats)} conversations are open on this WebSocket; end one first (RISKMODEL_LIVE_CONVERSATIONS)",
            )
        self.seen += ident not in self.chats
        self.latest = ident
        self.chats[ident] = _Chat(LiveConversation(self.context.engine.model, ident, past_complaints=past, **about), record)
        return self.chats[ident]

    async def _start(self, given: dict[str, Any]) -> None:
        about = {k: v for k, v in given.items() if k in ("id", "turns", *_FIELDS)}
        checked = check(ConversationSoFar, about)
        past, record = given.get("past_complaints", 0), given.get("record", True)
        if isinstance(past, bool) or not isinstance(past, int) or not 0 <= past <= 10_000 or not isinstance(record, bool):
            raise Problem(422, "past_complaints: expected a whole number; record: expected true or false")
        ident = str(checked.id)
        turns = [Turn.from_dict(t) for t in given.get("turns", [])]
        self._limits(Conversation(ident, tuple(turns)))
        named = {k: None if about.get(k) is None else str(about[k]) for k in _FIELDS}
        chat = self._open(ident, named, past, record)
        await self._send({"type": "started", "conversation": ident})
        if turns:
            await self._judge(ident, chat, turns)

    async def _turn(self, given: dict[str, Any]) -> None:
        data = given.get("turn")
        if not isinstance(data, dict):
            raise Problem(
                422, "turn: expected an object with speaker and text",
                errors=[{"field": "turn", "detail": "missing or no object", "expected": '{"speaker": …, "text": …}'}],
            )  # fmt: skip
        check(TurnIn, data)
        turn = Turn.from_dict(data)
        ident, chat = self._chat(given)
        so_far = chat.live.conversation
        self._limits(Conversation(so_far.id, (*so_far.turns, turn)))
        await self._judge(ident, chat, [turn])

    def _limits(self, conversation: Conversation) -> None:
        check_limits(conversation, self.settings)

    async def _judge(self, ident: str, chat: _Chat, turns: list[Turn]) -> None:
        engine = self.context.engine
        if chat.live.model is not engine.model:
            chat.live.use(engine.model)
        update = chat.live.extend(turns, now=engine.now())
        self.turns += len(turns)
        record = chat.record and (bool(update.changed) or update.turn == 0)
        if record:
            self.context.note(chat.live.conversation, update.assessment, "live", True)
        else:
            self.context.metrics.assessed(update.assessment, "live")
        await self._send({"type": "assessment", "conversation": ident, **update.to_dict()})

    async def _guard(self, given: dict[str, Any]) -> None:
        message, lang = given.get("message"), given.get("lang", "zh")
        if not isinstance(message, str):
            raise Problem(422, "message: expected the text the agent is about to send")
        if lang not in ("zh", "en"):
            raise Problem(422, "lang: expected zh or en")
        ident, chat = self._chat(given)
        window = guard_window(chat.live.conversation.turns, message)
        check_limits(window, self.settings)
        assessment = await self.context.engine.assess(window)
        index = len(chat.live.conversation.turns)
        found = decide(assessment, self.context.engine.model.policy, window, index, lang=lang)
        self.context.metrics.guards.labels(found.decision).inc()
        await self._send({"type": "guard", "conversation": ident, **found.to_dict()})

    async def _end(self, given: dict[str, Any]) -> None:
        named = given.get("conversation")
        if isinstance(named, str) and named:
            self.chats.pop(named, None)
            await self._send({"type": "ended", "conversation": named})
            return
        await self._send({"type": "ended"})
        raise _Close(1000, "")


def _names(given: Any) -> dict[str, Any]:
    """Return what lets a client match an answer to its message."""
    if not isinstance(given, dict):
        return {}
    out = {}
    if isinstance(given.get("conversation"), str):
        out["conversation"] = given["conversation"][:200]
    if isinstance(given.get("ref"), (str, int)):
        out["ref"] = given["ref"] if isinstance(given["ref"], int) else given["ref"][:100]
    return out
