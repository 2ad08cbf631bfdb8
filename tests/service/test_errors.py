"""Every error is a problem in words, names the field, and never repeats a message's text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from riskmodel import Conversation

Make = Callable[..., TestClient]
SECRET = "张三的电话是13800000000别告诉别人"
TURN = {"speaker": "customer", "text": "还没到货"}
JSON = {"content-type": "application/json"}


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    data: dict[str, Any] = answer.json()
    assert data["status"] == status
    assert data["type"].startswith("urn:riskmodel:problem:")
    assert data["title"]
    assert data["detail"]
    assert data["instance"] == f"urn:riskmodel:request:{answer.headers['x-request-id']}"
    for sign in ("Traceback", 'File "', "138000", "张三"):
        assert sign not in answer.text
    return data


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"turns": [TURN]}, "id", "no id"),
        ({"id": "", "turns": [TURN]}, "id", "no id"),
        ({"id": "a"}, "turns", "no turns"),
        ({"id": "a", "turns": []}, "turns", "empty"),
        ({"id": "a", "turns": "x"}, "turns", "no turns"),
        ({"id": "a", "turns": [TURN, {"speaker": "customer"}]}, "turns[1].text", "has no text"),
        ({"id": "a", "turns": [{"speaker": "customer", "text": 5}]}, "turns[0].text", "text is a int"),
        ({"id": "a", "turns": [{"speaker": SECRET, "text": SECRET}]}, "turns[0].speaker", "customer, agent, system or unknown"),
        ({"id": "a", "turns": [{**TURN, "time": 5}]}, "turns[0].time", "ISO 8601"),
        ({"id": "a", "turns": [{**TURN, "recalled": "maybe"}]}, "turns[0].recalled", "boolean"),
        ({"id": "a", "turns": [TURN], "agent_id": [SECRET]}, "agent_id", "expected a string"),
        ([1], "body", "JSON object"),
        ("text", "body", "JSON object"),
    ],
)
def test_a_bad_conversation_is_a_422_that_names_the_field(client: TestClient, body: Any, field: str, words: str) -> None:
    data = problem(client.post("/v1/score", json=body), 422)
    assert data["errors"][0]["field"].split(".str")[0].startswith(field.split("[", 1)[0])
    assert field in [e["field"] for e in data["errors"]] or field in str(data["errors"])
    assert words in str(data)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b'{"id": NaN}', "not valid JSON"),
        (b'{"id": "\\ud800"}', "not valid JSON"),
        ("{\"id\": \"客服\"}".encode("gb18030"), "GB18030"),
        (b'{"id": "\xff\xfe\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_body_is_a_400_that_says_where(client: TestClient, body: bytes, words: str) -> None:
    assert words in problem(client.post("/v1/score", content=body, headers=JSON), 400)["detail"]


def test_a_body_must_be_declared_as_json(client: TestClient) -> None:
    assert "Content-Type" in problem(client.post("/v1/score", content=b"{}", headers={"content-type": "text/plain"}), 415)["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/score?past_complaints=-1", {"id": "a", "turns": [TURN]}, "query.past_complaints"),
        ("/v1/score?explain=perhaps", {"id": "a", "turns": [TURN]}, "query.explain"),
        ("/v1/score/batch", {"conversations": []}, "conversations"),
        ("/v1/score/batch", {"conversations": [{"id": "a", "turns": [TURN]}], "past_complaints": [1, 2]}, "past_complaints"),
        ("/v1/score/batch", {"conversations": [{"id": "a", "turns": [TURN]}], "surplus": 1}, "surplus"),
        ("/v1/score/batch", 5, "body"),
        ("/v1/guard", {"conversation": {"id": "a", "turns": []}}, "message"),
        ("/v1/guard", {"message": "好", "lang": "fr"}, "lang"),
        ("/v1/guard", {"message": "好", "conversation": {"id": "a", "turns": [{"text": 1}]}}, "conversation.turns[0].text"),
        ("/v1/heat", {"conversation": {"id": "a", "turns": [TURN]}, "turn": 3, "signal": "self_harm"}, "turn"),
        ("/v1/heat", {"conversation": {"id": "a", "turns": [TURN]}, "turn": 0, "signal": "magic"}, "signal"),
        ("/v1/feedback", {"risk_level": "low"}, "conversation_id"),
        ("/v1/feedback", {"conversation_id": "a"}, "risk_level"),
        ("/v1/feedback", {"conversation_id": "a", "turns": [{"turn": 0, "signals": ["self_harm:maybe"]}]}, "turns[0].signals[0]"),
        ("/v1/feedback", {"conversation": {"id": "a", "turns": [TURN]}, "turns": [{"turn": 9, "signals": []}]}, "turns[0].turn"),
    ],
)
def test_other_bodies_are_checked_too(client: TestClient, path: str, body: Any, field: str) -> None:
    data = problem(client.post(path, json=body), 422)
    assert field in [e["field"] for e in data["errors"]], data


def test_a_batch_names_every_bad_conversation(client: TestClient) -> None:
    body = [{"id": "a", "turns": [TURN]}, {"id": "b"}, {"turns": [TURN]}]
    data = problem(client.post("/v1/score/batch", json=body), 422)
    assert [e["field"] for e in data["errors"]] == ["conversations[1].turns", "conversations[2].id"]
    assert "2 conversations cannot be used" in data["detail"]


def test_limits_are_413_and_name_the_setting(make: Make) -> None:
    client = make(max_turns=2, max_turn_chars=10, max_conversation_chars=15, max_batch=2, max_body_bytes=2048)
    short = {"speaker": "customer", "text": "八个字的一句话啊"}
    for path, body, words in [
        ("/v1/score", {"id": "a", "turns": [TURN] * 3}, "RISKMODEL_MAX_TURNS"),
        ("/v1/score", {"id": "a", "turns": [{"text": "长" * 11}]}, "RISKMODEL_MAX_TURN_CHARS"),
        ("/v1/score", {"id": "a", "turns": [short, short]}, "RISKMODEL_MAX_CONVERSATION_CHARS"),
        ("/v1/score/batch", [{"id": "a", "turns": [TURN]}] * 3, "RISKMODEL_MAX_BATCH"),
        ("/v1/guard", {"message": "长" * 11}, "RISKMODEL_MAX_TURN_CHARS"),
        ("/v1/score", {"id": "a", "turns": [{"text": "长" * 2000}]}, "RISKMODEL_MAX_BODY_BYTES"),
    ]:
        assert words in problem(client.post(path, json=body), 413)["detail"]


def test_a_body_without_declared_length_is_counted(make: Make) -> None:
    client = make(max_body_bytes=2048)

    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    problem(client.post("/v1/score", content=chunks(), headers=JSON), 413)


def test_a_slow_body_is_given_up(make: Make) -> None:
    app = make(body_timeout_s=0.1).app
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(5)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/score", "raw_path": b"/v1/score", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "client": None, "server": ("x", 1), "scheme": "http",
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    started = time.monotonic()
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    assert time.monotonic() - started < 2
    assert sent[0]["status"] == 408


def test_unknown_paths_and_methods(client: TestClient) -> None:
    problem(client.get("/v2/nothing"), 404)
    problem(client.get("/static/../app.py"), 404)
    problem(client.get("/static/nothing.js"), 404)
    answer = client.get("/v1/score")
    problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_what_is_off_says_how_to_turn_it_on(client: TestClient, examples: dict[str, Any]) -> None:
    assert "RISKMODEL_STORE" in problem(client.post("/v1/feedback", json=examples["feedback"]), 409)["detail"]
    assert "RISKMODEL_STORE" in problem(client.get("/v1/recent"), 409)["detail"]
    assert "RISKMODEL_RELOAD" in problem(client.post("/v1/model/reload"), 409)["detail"]


def test_an_unexpected_error_tells_the_client_nothing(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    client = make(log="json")
    context = client.app.state.context  # type: ignore[attr-defined]

    class Broken:
        ref, policy = context.engine.model.ref, context.engine.model.policy

        def assess_many(self, *args: Any, **kwargs: Any) -> Any:
            raise KeyError(SECRET)

    context.engine.model = Broken()
    problem(client.post("/v1/score", json={"id": "a", "turns": [{"text": SECRET}]}), 500)
    out = capsys.readouterr()
    assert '"error":"KeyError"' in out.out
    assert "张三" not in out.out + out.err


def test_too_much_waiting_is_a_503_with_retry_after(make: Make, samples: list[Conversation]) -> None:
    client = make(max_waiting=4)
    engine = client.app.state.context.engine  # type: ignore[attr-defined]

    async def rush() -> list[Any]:
        return await asyncio.gather(*(engine.assess(samples[0]) for _ in range(10)), return_exceptions=True)

    found = asyncio.run(rush())
    refused = [e for e in found if isinstance(e, Exception)]
    assert len(refused) == 6
    assert {e.status for e in refused} == {503}  # type: ignore[attr-defined]
    assert refused[0].headers["Retry-After"] == "1"  # type: ignore[attr-defined]


def test_a_full_pool_is_a_503(make: Make, samples: list[Conversation]) -> None:
    client = make()
    client.app.state.context.engine._in_pool = 1_000  # type: ignore[attr-defined]
    answer = client.post("/v1/score/batch", json=[samples[0].to_dict()])
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
