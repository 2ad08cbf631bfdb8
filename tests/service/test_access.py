"""Keys, loopback, rate, settings."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from service.access import TokenBucket
from service.app import create_app
from service.settings import Settings, SettingsError, table

from .conftest import KEY

Make = Callable[..., TestClient]
OTHER = "other-key-0123456789abcdef"
TURN = {"id": "a", "turns": [{"speaker": "customer", "text": "你好"}]}


def test_keys_by_both_headers_and_open_paths(make: Make) -> None:
    client = make(api_keys=(f"desk:{KEY}", OTHER))
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER}, {"authorization": f"bearer {OTHER}"}):
        assert client.post("/v1/score", json=TURN, headers=headers).status_code == 200
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": KEY}, {"X-API-Key": "desk"}, {"X-API-Key": KEY + "x"}):
        answer = client.post("/v1/score", json=TURN, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert KEY not in answer.text
    for path in ("/v1/model", "/metrics", "/v1/recent"):
        assert client.get(path).status_code == 401
    for path in ("/", "/healthz", "/readyz", "/openapi.json", "/static/style.css"):
        assert client.get(path).status_code == 200


def test_socket_takes_a_key_in_the_header_or_as_subprotocol(make: Make) -> None:
    client = make(api_keys=(KEY,))
    with client.websocket_connect("/v1/live", headers={"X-API-Key": KEY}) as socket:
        socket.send_json({"type": "ping"})
        assert socket.receive_json()["type"] == "pong"
    with client.websocket_connect("/v1/live", subprotocols=["riskmodel", f"riskmodel.key.{KEY.encode().hex()}"]) as socket:
        assert socket.accepted_subprotocol == "riskmodel"
    for protocol in ("riskmodel.key.zz", "riskmodel.key.00"):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/live", subprotocols=[protocol]):
            pass
        assert refused.value.status_code == 401


def test_key_file_is_read_again_when_it_changes(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# today's\ndesk:{KEY}\n")
    client = make(api_keys_file=str(file))

    def status(key: str) -> int:
        return client.get("/v1/model", headers={"X-API-Key": key}).status_code

    assert (status(KEY), status(OTHER)) == (200, 401)
    file.write_text(f"desk:{OTHER}\n# rotated\n")
    os.utime(file, (1, 1))
    time.sleep(1.1)
    assert (status(KEY), status(OTHER)) == (401, 200)
    file.write_text("short\n")  # a broken file locks nobody out
    time.sleep(1.1)
    assert status(OTHER) == 200


def asked_from(client: TestClient, peer: str, host: str, origin: str = "") -> int:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    with TestClient(client.app, client=(peer, 1234)) as other:
        return other.get("/v1/model", headers=headers).status_code


@pytest.mark.parametrize(
    ("peer", "host", "origin", "status"),
    [
        ("127.0.0.1", "localhost:8000", "", 200),
        ("::1", "[::1]:8000", "", 200),
        ("::ffff:127.0.0.1", "127.0.0.1", "", 200),
        ("127.0.0.1", "localhost:8000", "http://localhost:8000", 200),
        ("127.0.0.1", "localhost:8000", "http://evil.example", 401),
        ("127.0.0.1", "evil.example:8000", "http://evil.example:8000", 401),
        ("127.0.0.1", "chat.example", "", 401),
        ("10.0.0.8", "10.0.0.1:8000", "", 401),
    ],
)
def test_without_a_key_only_this_machine_may_ask(client: TestClient, peer: str, host: str, origin: str, status: int) -> None:
    assert asked_from(client, peer, host, origin) == status


def test_with_a_key_others_may_ask(make: Make) -> None:
    app = make(api_keys=(KEY,)).app
    with TestClient(app, client=("10.0.0.8", 1)) as other:
        assert other.get("/v1/model", headers={"host": "chat.example", "X-API-Key": KEY}).status_code == 200


def test_rate_of_a_key(make: Make) -> None:
    client = make(api_keys=(KEY, OTHER), rate_per_s=0.5, rate_burst=2)
    found = [client.get("/v1/model", headers={"X-API-Key": KEY}) for _ in range(3)]
    assert [a.status_code for a in found] == [200, 200, 429]
    assert 1 <= int(found[2].headers["retry-after"]) <= 3
    assert client.get("/v1/model", headers={"X-API-Key": OTHER}).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_token_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("service.access.time.monotonic", lambda: now[0])
    bucket = TokenBucket(2, 1)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(0.5)
    now[0] = 0.6
    assert bucket.take() == 0


# -- settings -------------------------------------------------------------------------------------


def test_settings_come_from_the_environment() -> None:
    found = Settings.from_env(
        {"RISKMODEL_API_KEYS": f" a:{KEY} , {OTHER}", "RISKMODEL_RELOAD": "on", "RISKMODEL_MAX_TURNS": "7", "RISKMODEL_RATE_PER_S": "0.5", "PATH": "x"}
    )
    assert found.api_keys == (f"a:{KEY}", OTHER)
    assert (found.reload, found.max_turns, found.rate_per_s) == (True, 7, 0.5)
    assert Settings.from_env({"RISKMODEL_MAX_TURNS": " ", "RISKMODEL_PUBLIC_DATA": "/x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RISKMODEL_API_KEY", KEY, "did you mean RISKMODEL_API_KEYS"),
        ("RISKMODEL_MAX_TURNS", "many", "whole number"),
        ("RISKMODEL_MAX_TURNS", "0", "1 or more"),
        ("RISKMODEL_RATE_PER_S", "nan", "0 or more"),
        ("RISKMODEL_RELOAD", "perhaps", "on or off"),
        ("RISKMODEL_ALERT_LEVEL", "red", "low, high, critical"),
        ("RISKMODEL_ALERT_URL", "ftp://x", "http"),
        ("RISKMODEL_ALERT_URL", "http://x", "RISKMODEL_ALERT_SPOOL"),
        ("RISKMODEL_API_KEYS_FILE", "/nowhere", "no such file"),
        ("RISKMODEL_TIMEZONE", "Mars/Base", "Asia/Shanghai"),
    ],
)
def test_a_wrong_setting_names_itself(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_env({name: value})
    assert words in str(error.value)
    assert "RISKMODEL_" in str(error.value)


def test_a_short_key_is_refused(model: Any) -> None:
    with pytest.raises(SettingsError, match="too short"):
        create_app(Settings(api_keys=("short",), log="off"), model=model)


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/http.md").read_text("utf-8")
    for spec in fields(Settings):
        assert f"`RISKMODEL_{spec.name.upper()}`" in text
    assert table() in text
    assert set(re.findall(r"RISKMODEL_[A-Z_]+[A-Z]", text)) <= {f"RISKMODEL_{s.name.upper()}" for s in fields(Settings)}
