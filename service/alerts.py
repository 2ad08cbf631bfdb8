"""Tells a webhook of risky conversations: signed, at least once, in the receiver's format.

An alert is a file in the spool folder before anything is sent, and goes when the receiver has taken
it. What was not delivered when the process ended is sent after the next start; what cannot be
delivered is appended to ``dead-letters.jsonl``. No alert holds the text of a message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import queue
import random
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote_plus, urlsplit

import orjson

from riskmodel import Action, Assessment, Conversation, Level, RiskModelError
from riskmodel.wording import duration, word

from . import logs
from .metrics import Metrics
from .settings import Settings

__all__ = ["AlertError", "Alerts", "render", "signature"]

_REMEMBERED = 20_000
_DEAD = "dead-letters.jsonl"


class AlertError(RiskModelError):
    """The spool folder cannot be used."""


class _Refused(Exception):  # noqa: N818
    """The receiver did not take an alert; `final` when it never will."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Alerts:
    """Sends alerts from a thread of its own.

    Parameters
    ----------
    settings : Settings
        Its ``alert_*`` fields.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._spool = Path(settings.alert_spool)
        self._told: OrderedDict[str, Level] = OrderedDict()
        self._due: queue.PriorityQueue[tuple[float, str, int]] = queue.PriorityQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._spool.mkdir(parents=True, exist_ok=True)
            left = sorted(self._spool.glob("*.json"))
        except OSError as error:
            raise AlertError(f"cannot be used ({type(error).__name__})", where="RISKMODEL_ALERT_SPOOL", expected="a folder to write to") from None
        for file in left:
            self._due.put((0.0, file.stem, 0))

    def start(self) -> None:
        """Start sending; also what an earlier process left."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="riskmodel-alerts", daemon=True)
            self._thread.start()

    def tell(self, conversation: Conversation, assessment: Assessment, actions: Iterable[Action]) -> bool:
        """Queue an alert unless this conversation was told of at this level already.

        Returns
        -------
        bool
            Whether there is something new to tell.
        """
        before = self._told.get(conversation.id, Level.NONE)
        if assessment.level <= before:
            return False
        self._told[conversation.id] = assessment.level
        self._told.move_to_end(conversation.id)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        alert = _alert(conversation, assessment, actions)
        key = str(alert["key"])
        try:
            part = self._spool / f"{key}.part"
            part.write_bytes(orjson.dumps(alert))
            part.replace(self._spool / f"{key}.json")
        except OSError as error:
            # Not durable now; still better told than not.
            logs.failure("alert_not_spooled", error, key=key)
            self._metrics.alerts.labels("not_spooled").inc()
            self._told.pop(conversation.id, None)
            return False
        self._due.put((time.monotonic(), key, 0))
        self.start()
        return True

    def close(self) -> None:
        """Stop after the attempt under way; the rest waits in the spool."""
        self._closing.set()
        self._due.put((0.0, "", 0))
        if self._thread is not None:
            self._thread.join(self._settings.alert_timeout_s + 1)

    # -- sending ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            due, key, attempts = self._due.get()
            wait = due - time.monotonic()
            if wait > 0:
                self._due.put((due, key, attempts))
                self._closing.wait(min(wait, 0.2))  # something sooner may come meanwhile
                continue
            if key:
                self._try(key, attempts)

    def _try(self, key: str, attempts: int) -> None:
        file = self._spool / f"{key}.json"
        try:
            alert = orjson.loads(file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, orjson.JSONDecodeError) as error:
            logs.failure("alert_unreadable", error, key=key)
            return
        try:
            self._send(alert)
        except _Refused as refused:
            self._failed(alert, key, attempts + 1, refused)
            return
        file.unlink(missing_ok=True)
        self._metrics.alerts.labels("delivered").inc()
        logs.event("alert_delivered", key=key, conversation=alert["conversation_id"], level=alert["level"], attempt=attempts + 1)

    def _failed(self, alert: Mapping[str, Any], key: str, attempts: int, refused: _Refused) -> None:
        logs.event("alert_failed", key=key, attempt=attempts, reason=str(refused))
        if refused.final or attempts >= self._settings.alert_attempts:
            with (self._spool / _DEAD).open("ab") as out:
                out.write(orjson.dumps({**alert, "attempts": attempts, "reason": str(refused)}) + b"\n")
            (self._spool / f"{key}.json").unlink(missing_ok=True)
            self._metrics.alerts.labels("dead").inc()
            return
        self._metrics.alerts.labels("failed").inc()
        pause = self._settings.alert_backoff_s * 2 ** (attempts - 1) * random.uniform(0.8, 1.2)
        self._due.put((time.monotonic() + min(pause, 900), key, attempts))

    def _send(self, alert: Mapping[str, Any]) -> None:
        settings = self._settings
        now = int(time.time())
        body, url = render(alert, settings.alert_format, settings.alert_url, settings.alert_secret, now)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(alert["key"]),
            "User-Agent": "riskmodel",
        }
        if settings.alert_secret:
            headers["X-Riskmodel-Signature"] = f"t={now},v1={signature(settings.alert_secret, now, body)}"
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with _OPENER.open(request, timeout=settings.alert_timeout_s) as answer:
                _check_answer(answer.read(65_536), settings.alert_format)
        except urllib.error.HTTPError as error:
            final = 400 <= error.code < 500 and error.code not in (401, 403, 404, 408, 425, 429)
            raise _Refused(f"HTTP {error.code}", final=final) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Refused(type(error).__name__) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None  # an alert goes where the setting says, nowhere else


_OPENER = urllib.request.build_opener(_NoRedirects)


def _check_answer(raw: bytes, style: str) -> None:
    """The robots answer 200 whatever happens; what happened is in the body."""
    if style == "plain":
        return
    try:
        answer = orjson.loads(raw)
        code = answer.get("errcode", answer.get("code", answer.get("StatusCode", 0)))
    except (orjson.JSONDecodeError, AttributeError):
        raise _Refused("the robot's answer is not JSON") from None
    if code:
        raise _Refused(f"the robot answered code {code}")


def _alert(conversation: Conversation, assessment: Assessment, actions: Iterable[Action]) -> dict[str, Any]:
    level = assessment.level.label
    key = hashlib.sha256(f"{conversation.id}\n{level}".encode()).hexdigest()[:32]
    return {
        "key": key,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "conversation_id": conversation.id,
        "agent_id": conversation.agent_id,
        "channel": conversation.channel,
        "turns": len(conversation.turns),
        "level": level,
        "risk": assessment.risk,
        "topic": assessment.topic.value,
        "signals": {f.signal.value: f.status.value for f in assessment.findings if f.standing},
        "actions": [a.to_dict() for a in actions],
        "model": assessment.model.to_dict(),
    }


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the HMAC-SHA256 of ``timestamp.body`` that the receiver compares."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def render(alert: Mapping[str, Any], style: str, url: str, secret: str, now: int) -> tuple[bytes, str]:
    """Return body and address of an alert in the receiver's format."""
    if style == "plain":
        return orjson.dumps(alert), url
    none = word("words", "none_found")
    fields = {
        "id": alert["conversation_id"],
        "agent": alert["agent_id"] or none,
        "channel": alert["channel"] or none,
        "level": word("level", alert["level"]),
        "risk": f"{alert['risk']:.0%}",
        "signals": _listed(f"{word('signal', s)}({word('status', status)})" for s, status in alert["signals"].items()),
        "actions": _listed(f"{word('action', a['action'])} {duration(a['due_in_s'])}" for a in alert["actions"]),
        "at": alert["at"],
        "key": alert["key"],
    }
    template = orjson.loads((files("service") / f"resources/alerts/{style}.json").read_bytes())
    payload = _fill(template, fields)
    if secret and style == "feishu":
        key = f"{now}\n{secret}".encode()
        payload["timestamp"] = str(now)
        payload["sign"] = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    if secret and style == "dingtalk":
        stamp = f"{now}000"
        sign = base64.b64encode(hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest())
        url += f"{'&' if urlsplit(url).query else '?'}timestamp={stamp}&sign={quote_plus(sign)}"
    return orjson.dumps(payload), url


def _fill(part: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(part, str):
        return Template(part).safe_substitute(fields)
    if isinstance(part, list):
        return [_fill(p, fields) for p in part]
    if isinstance(part, dict):
        return {k: _fill(v, fields) for k, v in part.items()}
    return part


def _listed(items: Iterable[str]) -> str:
    return "\u3001".join(items) or word("words", "none_found")
