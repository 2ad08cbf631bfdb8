"""A real uvicorn process on loopback: signals, slow and hostile clients, reload under load."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import riskmodel
from riskmodel import Conversation, RiskModel

ROOT = Path(__file__).parents[2]


class Server:
    """The service as its users run it."""

    def __init__(self, folder: Path, model: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        home = str(Path(riskmodel.__file__).parents[1])
        env = {k: v for k, v in os.environ.items() if not k.startswith("RISKMODEL_")}
        env |= {"RISKMODEL_MODEL": str(model), "PYTHONPATH": os.pathsep.join([home, str(ROOT)])}
        env |= {f"RISKMODEL_{k.upper()}": v for k, v in settings.items()}
        self.out = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--factory", "service.app:create_app", "--port", str(self.port), "--no-access-log"],
            stdout=self.out, stderr=subprocess.STDOUT, env=env, cwd=folder,
        )  # fmt: skip
        end = time.monotonic() + 180
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
            if self.process.poll() is not None:
                break
        self.stop()
        raise AssertionError(self.log.read_text())

    def stop(self, sign: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        code = self.process.wait(60)
        self.out.close()
        return code

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (x for x in self.log.read_text("utf-8").splitlines() if x.startswith("{"))
        return [x for x in map(json.loads, lines) if x["event"] == name]


@pytest.fixture
def serve(tmp_path: Path, model_folder: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**settings: str) -> Server:
        servers.append(Server(tmp_path, model_folder, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def closing_code(live: Any) -> int:
    try:
        while True:
            live.recv(10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def raw(server: Server, data: bytes, timeout_s: float = 60) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout_s) as connection:
        connection.sendall(data)
        got = b""
        while chunk := connection.recv(65_536):
            got += chunk
            if b"\r\n\r\n" in got and b'"status":' in got:
                break
        return got


def test_a_day_in_the_life(serve: Callable[..., Server], model: RiskModel, samples: list[Conversation], tmp_path: Path) -> None:
    """Score, live, hostile clients, reload under load, graceful end, in one process: starting is the slow part."""
    server = serve(store=str(tmp_path / "s.db"), max_body_bytes="4096", body_timeout_s="0.5")
    digest = model.ref.digest

    # What HTTP says is what the library says.
    with httpx.Client(base_url=server.url) as client:
        for sample in samples:
            assert client.post("/v1/score", json=sample.to_dict()).json() == model.assess(sample).to_dict()

    # So does a WebSocket.
    with connect(f"ws://127.0.0.1:{server.port}/v1/live", subprotocols=["riskmodel"]) as live:  # type: ignore[list-item]
        for i, turn in enumerate(samples[0].turns):
            live.send(json.dumps({"type": "turn", "conversation": "x", "turn": turn.to_dict()}))
            while (found := json.loads(live.recv(60)))["type"] == "heartbeat":
                pass
            wanted = model.assess(Conversation("x", samples[0].turns[: i + 1])).to_dict()
            assert found["assessment"] == wanted

    # An oversized body, declared or chunked, is refused; a slow one is given up.
    head = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 413 " in raw(server, head + b"Content-Length: 999999999\r\n\r\n")
    chunk = b"800\r\n" + b" " * 0x800 + b"\r\n"
    assert b" 413 " in raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4)
    assert b" 408 " in raw(server, head + b"Content-Length: 100\r\n\r\n{")
    assert raw(server, b"\x16\x03\x01\x02nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")

    # Reload under load: no request fails, a damaged model is refused, the good one comes back.
    failures: list[Any] = []
    done = threading.Event()
    answered = [0]

    def load() -> None:
        with httpx.Client(base_url=server.url, timeout=120) as client:
            while not done.is_set():
                answer = client.post("/v1/score", json=samples[answered[0] % len(samples)].to_dict())
                answered[0] += 1
                if answer.status_code != 200 or answer.json()["model"]["digest"] != digest:
                    failures.append(answer.text)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    weights = tmp_path / "model/weights.npz"
    good = weights.read_bytes()
    try:
        for content, event in ((good, "model_in_use"), (good[:1000], "model_refused"), (good, "model_in_use")):
            weights.write_bytes(content)
            before = len(server.events(event))
            server.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + 180  # the reload shares one interpreter with the load, on machines of any speed
            while len(server.events(event)) == before and time.monotonic() < end:
                time.sleep(0.05)
            assert len(server.events(event)) == before + 1, server.log.read_text("utf-8")[-2000:]
    finally:  # threads that outlive a failure would hide it behind their own
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert answered[0] > 10

    # A graceful end: an open WebSocket is told, what was taken is finished and stored.
    with connect(f"ws://127.0.0.1:{server.port}/v1/live") as live:
        server.process.send_signal(signal.SIGTERM)
        codes = {closing_code(live)}
    assert codes <= {1001, 1012}
    assert server.stop() in (0, -signal.SIGTERM)
    assert server.events("stopped")
    text = server.log.read_text("utf-8")
    assert "Traceback" not in text
    assert not any(turn.text in text for sample in samples for turn in sample.turns if len(turn.text) > 4)


def test_killed_and_started_again(serve: Callable[..., Server], samples: list[Conversation], tmp_path: Path) -> None:
    server = serve(store=str(tmp_path / "s.db"))
    httpx.post(f"{server.url}/v1/feedback", json={"conversation": samples[0].to_dict(), "risk_level": "high"})
    server.stop(signal.SIGKILL)
    again = serve(store=str(tmp_path / "s.db"))
    assert httpx.post(f"{again.url}/v1/feedback", json={"conversation_id": "b", "risk_level": "low"}).json()["id"] == 2


def test_a_wrong_setting_ends_the_start_with_words(tmp_path: Path, model_folder: Path) -> None:
    with pytest.raises(AssertionError, match="RISKMODEL_MAX_TURNS: is no number; expected a whole number"):
        Server(tmp_path, model_folder, max_turns="many")
