"""Hostile requests: any body, any path, any header; an answer below 500, and no word of the text in a log."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import riskmodel
from service.app import create_app
from service.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for httpx2; httpx serves as well
    from fastapi.testclient import TestClient

TRIES = int(os.environ.get("RISKMODEL_HTTP_FUZZ", "120"))
FUZZ = settings(max_examples=TRIES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
PATHS = ["/v1/score", "/v1/score/batch", "/v1/guard", "/v1/feedback", "/v1/heat", "/v1/model/reload"]
KEYS = ["id", "turns", "speaker", "text", "time", "recalled", "conversation", "conversations", "message", "explain", "past_complaints",
        "customer_id", "meta", "signal", "turn", "level", "lang", "opened_at", "channel"]  # fmt: skip
WORDS = st.sampled_from(["customer", "agent", "我要打12315", "2026-05-05T10:00:00+08:00", "\ud800", "\x00", "=1+1", "<script>", "../..", "", "critical", "self_harm"])
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | WORDS
BODY = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5), max_leaves=25)
GOOD_TURN = st.fixed_dictionaries({"speaker": st.sampled_from(["customer", "agent", "system", "unknown"]), "text": st.text(max_size=30) | WORDS})
NEARLY = st.fixed_dictionaries({"id": LEAF, "turns": st.lists(GOOD_TURN | LEAF, max_size=4)}, optional={"meta": BODY, "opened_at": LEAF, "past_complaints": LEAF})


@pytest.fixture(scope="module")
def http(model: riskmodel.RiskModel) -> Iterator[TestClient]:
    app = create_app(Settings(log="off", reload=False, max_body_bytes=1 << 20), model=model)
    with TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1", client=("127.0.0.1", 5)) as client:
        yield client


def sound(answer: Any) -> None:
    assert answer.status_code < 500, answer.text[:300]
    if answer.content and "json" in answer.headers.get("content-type", ""):
        json.loads(answer.content)


@FUZZ
@given(st.sampled_from(PATHS), BODY | NEARLY | st.builds(lambda n: {"conversations": [n]}, NEARLY) | st.builds(lambda n: {"conversation": n, "message": "您好"}, NEARLY))
def test_any_json(http: TestClient, path: str, body: Any) -> None:
    sound(http.post(path, content=json.dumps(body).encode(), headers={"content-type": "application/json"}))


@FUZZ
@given(st.sampled_from(PATHS), st.binary(max_size=120), st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-7", "", "multipart/form-data"]))
def test_any_bytes(http: TestClient, path: str, body: bytes, kind: str) -> None:
    sound(http.post(path, content=body, headers={"content-type": kind} if kind else {}))


@pytest.mark.parametrize("path", PATHS[:3])
@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b'{"id":' + b"9" * 500_000 + b"}", b'"' + b"\\ud83d" * 50_000 + b'"', b" " * 900_000])
def test_bodies_made_to_hang(http: TestClient, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500


OUT = ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fpyproject.toml", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/static/....//app.py",
       "/static//etc/passwd", "/static/index.html%00.js", "/static/..\\app.py", "/static/%5c..%5capp.py", "/..%252fetc/passwd", "/static/.", "/static/%c0%ae%c0%ae/x"]  # fmt: skip


@pytest.mark.parametrize("path", OUT)
def test_no_path_leads_out_of_the_page(http: TestClient, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code in (400, 404, 405)
    for telling in ("root:", "create_app", "[project]", "import "):
        assert telling not in answer.text


@FUZZ
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_any_path(http: TestClient, path: str) -> None:
    sound(http.get("/" + path.replace("?", "%3f").replace("#", "%23").lstrip("/")))


def test_a_script_in_a_body_comes_back_as_json_that_is_not_sniffed(http: TestClient) -> None:
    script = "<script>alert(1)</script>"
    for body in ({"id": script, "turns": [{"speaker": "customer", "text": script}]}, {"id": script, "turns": [{"speaker": script, "text": ""}]}, {script: 1}):
        answer = http.post("/v1/score", json=body)
        assert "json" in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_of_a_text_is_logged(model: riskmodel.RiskModel, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "张三丰住在终南山下的茅屋"
    app = create_app(Settings(log="json"), model=model)
    with TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1", client=("127.0.0.1", 5)) as client:
        for body in (
            {"id": "c", "turns": [{"speaker": "customer", "text": secret}]},
            {"id": "c", "turns": [{"speaker": secret, "text": secret}]},
            {"id": "c", "turns": secret},
            {"id": "c", "turns": [{"speaker": "customer", "text": secret, "time": secret, "recalled": secret}]},
        ):
            client.post("/v1/score", json=body)
            client.post("/v1/guard", json={"conversation": body, "message": secret})
        client.post("/v1/score", content=secret.encode())
    said = capsys.readouterr()
    assert secret not in said.out + said.err
    assert secret.encode("unicode_escape").decode() not in said.out + said.err
