"""Alerts reach a real receiver, signed, once a level, and survive its absence and a restart."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from riskmodel import Conversation
from service.alerts import AlertError, Alerts, render, signature
from service.metrics import Metrics
from service.settings import Settings

Make = Callable[..., TestClient]


class Receiver:
    """A webhook on loopback that answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, answer = outer.answers.pop(0) if outer.answers else (200, b'{"errcode": 0}')
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int, timeout_s: float = 60) -> None:
        end = time.monotonic() + timeout_s
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.got) >= count


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def settings(url: str, tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"alert_url": url, "alert_spool": str(tmp_path / "spool"), "alert_backoff_s": 0.05, "alert_secret": "s3cret", **more}


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_a_risky_conversation_is_told_once_signed_and_without_text(
    make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]
) -> None:
    client = make(**settings(receiver.url, tmp_path))
    for _ in range(3):
        for sample in samples:
            client.post("/v1/score", json=sample.to_dict())
    receiver.wait(3)
    time.sleep(0.3)
    told = {json.loads(body)["conversation_id"] for _, _, body in receiver.got}
    assert told == {"sample-1", "sample-3", "sample-5"}
    assert len(receiver.got) == 3
    for _, headers, body in receiver.got:
        stamp, found = (part.split("=", 1)[1] for part in headers["x-riskmodel-signature"].split(","))
        assert hmac.compare_digest(found, signature("s3cret", int(stamp), body))
        assert abs(int(stamp) - time.time()) < 30
        alert = json.loads(body)
        assert headers["idempotency-key"] == alert["key"]
        assert alert["actions"]
        assert "12315" not in body.decode()
        assert "微信" not in body.decode()
    wait_for(lambda: not list((tmp_path / "spool").glob("*.json")))


def test_live_tells_when_the_level_rises(make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]) -> None:
    client = make(**settings(receiver.url, tmp_path))
    with client.websocket_connect("/v1/live") as socket:
        for turn in samples[0].turns:
            socket.send_json({"type": "turn", "conversation": "live-9", "turn": turn.to_dict()})
            while socket.receive_json()["type"] != "assessment":
                pass
    receiver.wait(1)
    levels = [json.loads(body)["level"] for _, _, body in receiver.got]
    assert levels in (["high"], ["critical"], ["high", "critical"])


def test_a_failing_receiver_is_tried_again_with_the_same_key(
    make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]
) -> None:
    receiver.answers = [(500, b""), (429, b""), (302, b"")]
    client = make(**settings(receiver.url, tmp_path))
    client.post("/v1/score", json=samples[2].to_dict())
    receiver.wait(4)
    assert {path for path, _, _ in receiver.got} == {"/hook"}  # a redirect is not followed
    assert len({headers["idempotency-key"] for _, headers, _ in receiver.got}) == 1
    wait_for(lambda: 'riskmodel_alerts_total{result="delivered"} 1.0' in client.get("/metrics").text)


def test_what_cannot_be_delivered_is_a_dead_letter(make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]) -> None:
    receiver.answers = [(500, b"")] * 3 + [(422, b"")]
    client = make(**settings(receiver.url, tmp_path, alert_attempts=3))
    dead = tmp_path / "spool/dead-letters.jsonl"
    client.post("/v1/score", json=samples[0].to_dict())
    wait_for(dead.exists)
    client.post("/v1/score", json=samples[2].to_dict())  # refused for good at the first attempt
    wait_for(lambda: len(dead.read_text().splitlines()) == 2)
    first, second = map(json.loads, dead.read_text().splitlines())
    assert (first["attempts"], first["reason"]) == (3, "HTTP 500")
    assert (second["attempts"], second["reason"]) == (1, "HTTP 422")
    assert not list((tmp_path / "spool").glob("*.json"))


def test_an_alert_survives_a_dead_receiver_and_a_restart(
    make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]
) -> None:
    dead = settings("http://127.0.0.1:9/hook", tmp_path, alert_backoff_s=60)
    client = make(**dead)
    assert client.post("/v1/score", json=samples[0].to_dict()).status_code == 200
    waiting = tmp_path / "spool"
    wait_for(lambda: 'result="failed"} 1.0' in client.get("/metrics").text)
    client.app.state.context.alerts.close()  # type: ignore[attr-defined]
    assert len(list(waiting.glob("*.json"))) == 1
    make(**settings(receiver.url, tmp_path))
    receiver.wait(1)
    assert json.loads(receiver.got[0][2])["conversation_id"] == "sample-1"


ALERT = {
    "key": "k1", "at": "2026-05-05T02:42:31+00:00", "conversation_id": 'c"1\n$x', "agent_id": None, "channel": "app", "turns": 3,
    "level": "critical", "risk": 0.98, "topic": "after_sales", "signals": {"regulator_complaint": "threatened"},
    "actions": [{"action": "call_duty_manager", "due_in_s": 300, "because": "critical"}], "model": {},
}  # fmt: skip


@pytest.mark.parametrize("style", ["wecom", "feishu", "dingtalk"])
def test_templates_of_the_robots(style: str) -> None:
    body, url = render(ALERT, style, "https://robot.example/send?key=1", "s3cret", 1_700_000_000)
    payload = json.loads(body)
    text = json.dumps(payload, ensure_ascii=False)
    for words in ("疑似危机", "职能机构投诉", "致电值班经理", "5 分钟内", "98%"):
        assert words in text
    assert "${" not in text
    if style == "wecom":
        assert payload["msgtype"] == "markdown"
        assert url.endswith("key=1")
    if style == "feishu":
        wanted = base64.b64encode(hmac.new(b"1700000000\ns3cret", b"", hashlib.sha256).digest()).decode()
        assert (payload["timestamp"], payload["sign"]) == ("1700000000", wanted)
    if style == "dingtalk":
        query = parse_qs(urlsplit(url).query)
        wanted = base64.b64encode(hmac.new(b"s3cret", b"1700000000000\ns3cret", hashlib.sha256).digest()).decode()
        assert (query["timestamp"], query["sign"], query["key"]) == (["1700000000000"], [wanted], ["1"])


def test_a_robot_that_answers_200_with_an_error_code_has_not_taken_it(
    make: Make, receiver: Receiver, tmp_path: Path, samples: list[Conversation]
) -> None:
    receiver.answers = [(200, b'{"errcode": 45009, "errmsg": "api freq out of limit"}'), (200, b"<html>"), (200, b'{"errcode": 0}')]
    client = make(**settings(receiver.url, tmp_path, alert_format="wecom"))
    client.post("/v1/score", json=samples[2].to_dict())
    receiver.wait(3)
    wait_for(lambda: 'riskmodel_alerts_total{result="delivered"} 1.0' in client.get("/metrics").text)


def test_a_spool_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(AlertError, match="RISKMODEL_ALERT_SPOOL"):
        Alerts(Settings(alert_url="http://x", alert_spool=str(file / "spool")), Metrics())
