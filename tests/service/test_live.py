"""The WebSocket answers what the batch answers, keeps its limits and closes cleanly."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from riskmodel import Case, Conversation, RiskModel, Speaker, Turn
from riskmodel.live import LiveConversation, guard

Make = Callable[..., TestClient]


def receive(socket: Any, kind: str) -> dict[str, Any]:
    """Return the next message of a kind, past heartbeats."""
    while (message := socket.receive_json())["type"] == "heartbeat":
        pass
    assert message["type"] == kind, message
    found: dict[str, Any] = message
    return found


# -- the library's part ---------------------------------------------------------------------------


def test_live_equals_batch_on_every_prefix_of_the_corpus(model: RiskModel, corpus: list[Case]) -> None:
    whole = [c.conversation for c in corpus if len(c.conversation.turns) > 2]
    for conversation in random.Random(7).sample(whole, 60):
        live = LiveConversation(model, conversation.id, past_complaints=2)
        for i, turn in enumerate(conversation.turns):
            update = live.add(turn)
            wanted = model.assess(Conversation(conversation.id, conversation.turns[: i + 1]), past_complaints=2)
            assert update.assessment == wanted
            assert update.turn == i


def test_live_takes_strange_turns(model: RiskModel) -> None:
    texts = ["", "ＡＢＣ&nbsp;退款", "退款" * 400, "[图片]", "\u200b\ud800", "Ç¨ÎÒÍË¿î", "退款", "鎴戣鎶曡瘔浣犱滑", "Please refund me right now", "1" * 50, "退款"]
    for order in range(3):
        rng = random.Random(order)
        turns = [Turn(rng.choice(texts), rng.choice(list(Speaker))) for _ in range(25)]
        live = LiveConversation(model, "x")
        for i, turn in enumerate(turns):
            assert live.add(turn).assessment == model.assess(Conversation("x", tuple(turns[: i + 1])))


def test_live_says_what_changed_and_which_turn_decided(model: RiskModel, samples: list[Conversation]) -> None:
    live = LiveConversation(model, "x")
    level = "none"
    decided = None
    for i, turn in enumerate(samples[0].turns):
        update = live.add(turn)
        moved = [c for c in update.changed if c.what == "level"]
        now = update.assessment.level.label
        assert [(c.before, c.after) for c in moved] == ([(level, now)] if now != level else [])
        decided = i if now != level else decided
        assert update.deciding_turn == decided
        level = now
    assert level in ("high", "critical")


def test_a_withdrawn_threat_is_told_as_withdrawn(model: RiskModel, samples: list[Conversation]) -> None:
    live = LiveConversation(model, "x")
    updates = [live.add(turn) for turn in samples[1].turns]
    assert {(c.what, c.after) for u in updates for c in u.changed} >= {("signal", "withdrawn")}


def test_several_turns_at_once_and_a_swapped_model(model: RiskModel, samples: list[Conversation]) -> None:
    one = samples[0]
    live = LiveConversation(model, one.id)
    live.extend(one.turns[:5])
    live.use(model)
    assert live.extend(one.turns[5:]).assessment == model.assess(one)
    with pytest.raises(ValueError, match="at least one"):
        live.extend([])


def test_guard_equals_the_judgement_of_the_whole_conversation(model: RiskModel, samples: list[Conversation]) -> None:
    for sample in samples:
        for i, turn in enumerate(sample.turns):
            if turn.speaker is not Speaker.AGENT:
                continue
            found = guard(model, Conversation("c", sample.turns[:i]), turn.text)
            whole = model.assess(Conversation("c", sample.turns[: i + 1]))
            wanted = [e for e in whole.evidence if e.turn == i and e.signal in found.signals and e.status.counts]
            assert list(found.evidence) == wanted


# -- the WebSocket --------------------------------------------------------------------------------


def test_socket_equals_batch(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    with client.websocket_connect("/v1/live") as socket:
        for sample in samples:
            socket.send_json({"type": "start", "id": sample.id})
            receive(socket, "started")
            for i, turn in enumerate(sample.turns):
                socket.send_json({"type": "turn", "turn": turn.to_dict()})
                found = receive(socket, "assessment")
                assert found["assessment"] == model.assess(sample.prefix(i + 1)).to_dict()
                assert (found["conversation"], found["turn"]) == (sample.id, i)


def test_many_conversations_on_one_socket(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    last: dict[str, Any] = {}
    with client.websocket_connect("/v1/live") as socket:
        for i in range(max(len(s.turns) for s in samples)):
            for sample in samples:
                if i < len(sample.turns):
                    socket.send_json({"type": "turn", "conversation": sample.id, "turn": sample.turns[i].to_dict()})
                    last[sample.id] = receive(socket, "assessment")["assessment"]
    assert last == {s.id: model.assess(s).to_dict() for s in samples}


def test_join_late_bare_turn_guard_ping_and_end(client: TestClient, model: RiskModel, samples: list[Conversation]) -> None:
    one = samples[0]
    with client.websocket_connect("/v1/live") as socket:
        so_far = one.prefix(4)
        socket.send_json({"type": "start", "past_complaints": 1, **so_far.to_dict()})
        receive(socket, "started")
        assert receive(socket, "assessment")["assessment"] == model.assess(so_far, past_complaints=1).to_dict()
        socket.send_json(one.turns[4].to_dict())
        assert receive(socket, "assessment")["turn"] == 4
        socket.send_json({"type": "guard", "message": "有本事你去投诉啊"})
        found = receive(socket, "guard")
        assert found["decision"] == "hold"
        assert found["evidence"][0]["turn"] == 5
        socket.send_json({"type": "ping", "ref": 7})
        assert receive(socket, "pong")["ref"] == 7
        socket.send_json({"type": "end", "conversation": one.id})
        receive(socket, "ended")
        socket.send_json({"type": "end"})
        receive(socket, "ended")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1000


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("{", 400),
        ("[]", 422),
        ('{"type": "dance"}', 422),
        ('{"type": "turn"}', 422),
        ('{"type": "turn", "turn": {"text": 1}}', 422),
        ('{"type": "turn", "turn": {"text": "好", "speaker": "张三"}}', 422),
        ('{"type": "turn", "conversation": 5, "turn": {"text": "好"}}', 422),
        ('{"type": "start"}', 422),
        ('{"type": "start", "id": "a", "past_complaints": "x"}', 422),
        ('{"type": "guard"}', 422),
        ('{"type": "guard", "message": "好", "lang": "fr"}', 422),
    ],
)
def test_a_bad_message_is_answered_and_the_socket_lives(client: TestClient, message: str, status: int) -> None:
    with client.websocket_connect("/v1/live") as socket:
        socket.send_text(message)
        problem = receive(socket, "error")["problem"]
        assert problem["status"] == status
        assert "张三" not in str(problem)
        socket.send_json({"type": "ping"})
        receive(socket, "pong")


def closing_code(socket: Any) -> int:
    try:
        while True:
            socket.receive_json()
    except WebSocketDisconnect as closed:
        return int(closed.code)


def test_limits_of_a_socket(make: Make) -> None:
    client = make(live_conversations=1, live_message_bytes=1024, max_turns=1, live_heartbeat_s=30)
    turn = {"speaker": "customer", "text": "好"}
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json({"type": "turn", "conversation": "a", "turn": turn})
        receive(socket, "assessment")
        socket.send_json({"type": "turn", "conversation": "a", "turn": turn})
        assert "RISKMODEL_MAX_TURNS" in receive(socket, "error")["problem"]["detail"]
        socket.send_json({"type": "turn", "conversation": "b", "turn": turn})
        found = receive(socket, "error")
        assert (found["problem"]["status"], found["conversation"]) == (413, "b")
        socket.send_text("x" * 2000)
        assert closing_code(socket) == 1009


def test_nonsense_without_end_is_closed(client: TestClient) -> None:
    with client.websocket_connect("/v1/live") as socket:
        for _ in range(20):
            socket.send_text("{")
        assert closing_code(socket) == 1008


def test_rate_of_a_socket(make: Make) -> None:
    with make(live_rate_per_s=0.5).websocket_connect("/v1/live") as socket:
        for _ in range(12):
            socket.send_json({"type": "ping"})
        kinds = [socket.receive_json()["type"] for _ in range(12)]
    assert kinds == ["pong"] * 10 + ["error"] * 2


def test_heartbeat_and_idle_close(make: Make) -> None:
    with make(live_heartbeat_s=0.05, live_idle_s=0.4).websocket_connect("/v1/live") as socket:
        assert socket.receive_json() == {"type": "heartbeat", "conversations": 0}
        assert closing_code(socket) == 1001


def test_too_many_sockets(make: Make) -> None:
    client = make(live_max=1)
    with client.websocket_connect("/v1/live"):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/live"):
            pass
        assert refused.value.status_code == 503
        assert refused.value.headers["retry-after"] == "5"
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json({"type": "ping"})
        receive(socket, "pong")
