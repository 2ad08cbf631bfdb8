"""The endpoints that judge answer what the library answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from riskmodel import Conversation, RiskModel, Signal
from riskmodel.live import guard

Make = Callable[..., TestClient]


def test_score_equals_the_library_field_by_field(
    client: TestClient, model: RiskModel, samples: list[Conversation], examples: dict[str, Any]
) -> None:
    for conversation in [*samples, Conversation.from_dict(examples["conversation"])]:
        answer = client.post("/v1/score", json=conversation.to_dict())
        assert answer.status_code == 200, answer.text
        assert answer.json() == model.assess(conversation).to_dict()


def test_explain_and_past_complaints_reach_the_model(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    one = samples[0]
    answer = client.post("/v1/score?explain=true&past_complaints=3", json=one.to_dict()).json()
    assert answer == model.assess_many([one], past_complaints=[3], explain=True)[0].to_dict()
    assert any(r["feature"].startswith("words:") for r in answer["reasons"])


def test_batch_equals_singles_and_takes_a_bare_list(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    wanted = [model.assess(c).to_dict() for c in samples]
    body = [c.to_dict() for c in samples]
    assert client.post("/v1/score/batch", json={"conversations": body}).json() == {"assessments": wanted}
    assert client.post("/v1/score/batch", json=body).json() == {"assessments": wanted}


def test_batch_counts_past_complaints_for_each(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    body = {"conversations": [c.to_dict() for c in samples[:2]], "past_complaints": [0, 3]}
    found = client.post("/v1/score/batch", json=body).json()["assessments"]
    assert found[1] == model.assess(samples[1], past_complaints=3).to_dict()


def test_a_long_conversation_is_scored_as_well(client: TestClient, model: RiskModel) -> None:
    turns = [{"speaker": "customer", "text": f"第{i}句，" + "还没收到货" * 20} for i in range(300)]
    long = {"id": "long", "turns": turns}
    assert client.post("/v1/score", json=long).json() == model.assess(Conversation.from_dict(long)).to_dict()


@pytest.mark.parametrize(
    ("message", "decision"),
    [
        ("您好，请问有什么可以帮您", "allow"),
        ("您有权拨打12315，我的工号是1024", "allow"),
        ("非常抱歉给您带来不便，我马上为您核实", "allow"),
        ("有本事你去投诉啊，你脑子有病吧", "hold"),
        ("补偿您1000元冥币", "hold"),
        ("我一定给您解决，百分百全额退款", "warn"),
        ("你加我微信，我私下转给你", "warn"),
        ("", "allow"),
    ],
)
def test_guard_table(client: TestClient, model: RiskModel, samples: list[Conversation], message: str, decision: str) -> None:
    so_far = samples[0]
    answer = client.post("/v1/guard", json={"message": message, "conversation": so_far.to_dict()})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["decision"] == decision
    assert found == guard(model, so_far, message).to_dict()
    assert bool(found["hint"]) == bool(found["reason"]) == (decision != "allow")
    for item in found["evidence"]:
        assert item["turn"] == len(so_far.turns)
        assert message[item["start"] : item["end"]] == item["text"]


def test_guard_looks_at_the_message_alone_not_at_what_was_sent_before(client: TestClient, samples: list[Conversation]) -> None:
    abusive = samples[2].to_dict()  # the agent has crossed a line already
    found = client.post("/v1/guard", json={"message": "好的，我帮您登记", "conversation": abusive}).json()
    assert found["decision"] == "allow"


def test_guard_speaks_english_and_works_without_a_conversation(client: TestClient) -> None:
    found = client.post("/v1/guard", json={"message": "有本事你去投诉啊", "lang": "en"}).json()
    assert found["decision"] == "hold"
    assert found["hint"].isascii() or "“" in found["hint"]
    empty = {"message": "有本事你去投诉啊", "conversation": {"id": "c", "turns": []}}
    assert client.post("/v1/guard", json=empty).json()["decision"] == "hold"


def test_guard_says_what_it_could_not_judge(client: TestClient) -> None:
    found = client.post("/v1/guard", json={"message": "Please wait for a moment, dear customer"}).json()
    assert (found["decision"], found["not_analysed"]) == ("allow", "not_chinese")


def test_heat_equals_the_library(client: TestClient, model: RiskModel, examples: dict[str, Any]) -> None:
    body = examples["heat"]
    found = client.post("/v1/heat", json=body).json()
    wanted = model.heat(Conversation.from_dict(body["conversation"]), 0, Signal.REGULATOR_COMPLAINT)
    assert found["characters"] == [c for c, _ in wanted]
    assert found["weights"] == [round(w, 4) for _, w in wanted]


def test_requests_at_the_same_time_do_not_mix(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    wanted = {c.id: model.assess(c).to_dict() for c in samples}

    def ask(i: int) -> bool:
        one = samples[i % len(samples)]
        return bool(client.post("/v1/score", json=one.to_dict()).json() == wanted[one.id])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))


def test_what_waits_is_scored_together_and_one_failure_stays_alone(make: Make, samples: list[Conversation]) -> None:
    engine = make().app.state.context.engine  # type: ignore[attr-defined]
    real = engine.model
    sizes: list[int] = []

    class Failing:
        policy, ref = real.policy, real.ref

        def assess_many(self, batch: list[Conversation], **kwargs: Any) -> Any:
            sizes.append(len(batch))
            if any(c.id == "bad" for c in batch):
                raise RuntimeError("broken")
            return real.assess_many(batch, **kwargs)

    engine.model = Failing()

    async def all_at_once() -> list[Any]:
        bad = Conversation("bad", samples[0].turns)
        return await asyncio.gather(*(engine.assess(c) for c in [*samples, bad]), return_exceptions=True)

    *good, bad = asyncio.run(all_at_once())
    assert sizes[0] == len(samples) + 1
    assert good == real.assess_many(samples)
    assert isinstance(bad, RuntimeError)


def test_off_hours_route_follows_the_time_zone(make: Make, model: RiskModel, samples: list[Conversation]) -> None:
    client = make(timezone="Asia/Shanghai")
    now = client.app.state.context.engine.now()  # type: ignore[attr-defined]
    found = client.post("/v1/score", json=samples[0].to_dict()).json()
    assert found == model.assess(samples[0], now=now).to_dict()
