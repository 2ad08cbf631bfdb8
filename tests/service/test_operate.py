"""Running it: health, metrics, logs, reload, OpenAPI, the page's files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from riskmodel import Conversation, Level, RiskModel
from riskmodel.errors import ArtifactError
from service.app import create_app
from service.engine import SelfCheckError, self_check
from service.settings import Settings

Make = Callable[..., TestClient]


def test_health_ready_and_card(client: TestClient, model: RiskModel) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "model": model.ref.digest}
    card = client.get("/v1/model").json()
    assert (card["name"], card["digest"], card["policy"]["digest"]) == (model.ref.name, model.ref.digest, model.policy.digest)
    assert card["card"]["limits"]


def test_not_ready_while_closing(make: Make) -> None:
    client = make()
    client.app.state.context.closing = True  # type: ignore[attr-defined]
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_metrics_count_and_belong_to_one_app(make: Make, samples: list[Conversation]) -> None:
    first, second = make(), make()
    first.post("/v1/score", json=samples[0].to_dict())
    first.post("/v1/guard", json={"message": "有本事你去投诉啊"})
    first.post("/v1/score", content=b"{", headers={"content-type": "application/json"})
    text = first.get("/metrics").text
    for line in (
        'riskmodel_requests_total{method="POST",route="/v1/score",status="200"} 1.0',
        'riskmodel_requests_total{method="POST",route="/v1/score",status="400"} 1.0',
        'riskmodel_guard_decisions_total{decision="hold"} 1.0',
        'riskmodel_not_analysed_total{reason="picture"} 1.0',
        'riskmodel_signals_total{signal="regulator_complaint"} 1.0',
        'riskmodel_request_seconds_count{route="/v1/score"} 2.0',
    ):
        assert line in text, line
    assert 'route="/v1/score"' not in second.get("/metrics").text


def test_logs_hold_ids_and_figures_and_no_text(make: Make, capsys: pytest.CaptureFixture[str], samples: list[Conversation]) -> None:
    client = make(log="json")
    answer = client.post("/v1/score", json=samples[0].to_dict(), headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    client.post("/v1/guard", json={"message": "有本事你去投诉啊", "conversation": samples[0].to_dict()}, headers={"x-request-id": "bad id\t"})
    client.post("/v1/score", json={"id": "b", "turns": [{"speaker": "秘密", "text": "秘密"}]})
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json({"text": "秘密的话"})
        while socket.receive_json()["type"] != "assessment":
            pass
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scored = next(x for x in lines if x.get("request_id") == "abc-1")
    assert {"route": "/v1/score", "status": 200, "conversation": "sample-1", "turns": 11}.items() <= scored.items()
    assert scored["level"] in ("high", "critical")
    assert scored["ms"] > 0
    assert not re.search(r"[一-鿿]", json.dumps(lines, ensure_ascii=False))
    assert all("bad id" not in x["request_id"] for x in lines if "request_id" in x)


def test_answers_are_not_cached_and_not_sniffed(client: TestClient) -> None:
    headers = client.get("/v1/model").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


# -- the model ------------------------------------------------------------------------------------


def test_reload_swaps_a_good_model_and_keeps_the_old_one_otherwise(model_folder: Path, samples: list[Conversation]) -> None:
    app = create_app(Settings(log="off", model=str(model_folder), reload=True))
    with TestClient(app) as client:
        engine = app.state.context.engine
        first = engine.model
        assert client.post("/v1/model/reload").status_code == 200
        second = engine.model
        assert second is not first
        weights = model_folder / "weights.npz"
        good = weights.read_bytes()
        weights.write_bytes(good[:-10] + b"0123456789")
        answer = client.post("/v1/model/reload")
        assert answer.status_code == 409
        assert "old one keeps serving" in answer.json()["detail"]
        assert engine.model is second
        assert client.post("/v1/score", json=samples[0].to_dict()).status_code == 200
        weights.write_bytes(good)
        assert client.post("/v1/model/reload").status_code == 200
        text = client.get("/metrics").text
        assert 'riskmodel_model_reloads_total{result="done"} 2.0' in text
        assert 'riskmodel_model_reloads_total{result="refused"} 1.0' in text


def test_a_model_that_judges_nonsense_is_refused(model: RiskModel) -> None:
    class Blind:
        card: dict[str, Any] = {}  # noqa: RUF012

        def assess_many(self, batch: list[Conversation]) -> Any:
            harmless = Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": "谢谢"}]})
            return [model.assess(harmless)] * len(batch)

    self_check(model)
    with pytest.raises(SelfCheckError, match="is judged none"):
        self_check(Blind())  # type: ignore[arg-type]


def test_a_model_of_two_values_need_not_say_critical(model: RiskModel) -> None:
    class Capped:
        card: dict[str, Any] = {"labels": {"kind": "binary"}}  # noqa: RUF012

        def assess_many(self, batch: list[Conversation]) -> Any:
            return [replace(a, level=Level.HIGH if a.level >= Level.HIGH else Level.NONE) for a in model.assess_many(batch)]

    self_check(Capped())  # type: ignore[arg-type]


def test_a_missing_model_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        create_app(Settings(log="off", model=str(tmp_path)))


def test_a_policy_of_ones_own(model_folder: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text((model_folder / "policy.toml").read_text("utf-8").replace('name = "default"', 'name = "strict"'))
    with TestClient(create_app(Settings(log="off", model=str(model_folder), policy=str(policy)))) as client:
        assert client.get("/v1/model").json()["policy"]["name"] == "strict"


# -- OpenAPI and page -----------------------------------------------------------------------------


def test_openapi_describes_bodies_errors_and_chinese_examples(client: TestClient, examples: dict[str, Any]) -> None:
    found = client.get("/openapi.json").json()
    for path, name in {"/v1/score": "conversation", "/v1/score/batch": "batch", "/v1/guard": "guard", "/v1/heat": "heat", "/v1/feedback": "feedback"}.items():
        operation = found["paths"][path]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        assert body["examples"][name]["value"] == examples[name]
        assert body["schema"]["$ref"].rsplit("/", 1)[1] in found["components"]["schemas"]
        for status in ("400", "401", "413", "415", "422", "429", "503"):
            assert "application/problem+json" in operation["responses"][status]["content"]
    text = json.dumps(found)
    for ref in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert ref in found["components"]["schemas"]
    assert "HTTPValidationError" not in text


def test_examples_of_the_docs_work(make: Make, examples: dict[str, Any], tmp_path: Path) -> None:
    client = make(store=str(tmp_path / "s.db"))
    for path, name in {"/v1/score": "conversation", "/v1/score/batch": "batch", "/v1/guard": "guard", "/v1/heat": "heat"}.items():
        assert client.post(path, json=examples[name]).status_code == 200
    assert client.post("/v1/feedback", json=examples["feedback"]).status_code == 201


def test_page_is_self_contained_and_safe(client: TestClient, make: Make) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("main.js", "view.js", "api.js", "parse.js", "style.css", "icon.svg", "words.json", "labels.json", "samples.json"):
        text = client.get(f"/static/{name}").text
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]{2,}", text), name
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
    assert make(page=False).get("/").status_code == 404


def test_page_has_words_in_both_languages(client: TestClient) -> None:
    words = client.get("/static/words.json").json()
    assert words["zh"]["ui"].keys() == words["en"]["ui"].keys()
    labels = client.get("/static/labels.json").json()
    used = set(re.findall(r'ui\("(\w+)"\)', client.get("/static/main.js").text))
    used |= set(re.findall(r'data-[tp]="(\w+)"', client.get("/").text))
    assert used <= set(words["zh"]["ui"]) | set(labels["labels"]["group"])
    assert sum(map(len, labels["groups"].values())) == 24
