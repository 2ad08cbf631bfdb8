"""The store keeps, masks, forgets, exports, and never stops scoring."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from riskmodel import Conversation, RiskModel, Signal, Status, read_cases
from service.export import export_feedback, main
from service.store import Store, StoreError, load_mask, mask_digits, read_feedback

Make = Callable[..., TestClient]
PHONE = {
    "id": "p1", "customer_id": "u1", "note": "不该留下",
    "turns": [{"speaker": "customer", "text": "打138 0000-0000找我，不然我打12315投诉，订单4401234567890123"}],
}  # fmt: skip


def store_of(client: TestClient) -> Store:
    store: Store = client.app.state.context.store  # type: ignore[attr-defined]
    return store


def test_risky_conversations_are_kept_and_masked(make: Make, tmp_path: Path, samples: list[Conversation]) -> None:
    client = make(store=str(tmp_path / "s.db"))
    for body in (*(s.to_dict() for s in samples), PHONE):
        client.post("/v1/score", json=body)
    assert store_of(client).flush()
    found = client.get("/v1/recent").json()["conversations"]
    assert {"sample-1", "p1"} <= {f["conversation_id"] for f in found}
    assert "sample-4" not in {f["conversation_id"] for f in found}
    assert "sample-4" in {f["conversation_id"] for f in client.get("/v1/recent?level=none").json()["conversations"]}
    kept = next(f for f in found if f["conversation_id"] == "p1")
    text = kept["conversation"]["turns"][0]["text"]
    assert text == "打*** ****-****找我，不然我打12315投诉，订单****************"
    assert "note" not in kept["conversation"]
    for item in kept["assessment"]["evidence"]:
        assert text[item["start"] : item["end"]] == item["text"]
    raw = (tmp_path / "s.db").read_bytes() + (tmp_path / "s.db-wal").read_bytes()
    assert b"440123" not in raw
    assert client.get("/v1/recent?limit=0").status_code == 422


def test_trying_out_leaves_no_trace(make: Make, tmp_path: Path) -> None:
    client = make(store=str(tmp_path / "s.db"))
    client.post("/v1/score?record=false", json=PHONE)
    client.post("/v1/score/batch?record=false", json=[PHONE])
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json({"type": "start", "record": False, **PHONE})
        while socket.receive_json()["type"] != "assessment":
            pass
    assert store_of(client).flush()
    assert client.get("/v1/recent?level=none").json() == {"conversations": []}


def test_live_keeps_the_latest_state_in_one_row(make: Make, tmp_path: Path, samples: list[Conversation]) -> None:
    client = make(store=str(tmp_path / "s.db"))
    with client.websocket_connect("/v1/live") as socket:
        for turn in samples[0].turns:
            socket.send_json({"type": "turn", "conversation": "live-1", "turn": turn.to_dict()})
            while socket.receive_json()["type"] != "assessment":
                pass
    assert store_of(client).flush()
    (row,) = client.get("/v1/recent?level=none").json()["conversations"]
    assert row["assessment"]["level"] in ("high", "critical")


def test_assessments_alone_when_texts_must_not_be_kept(make: Make, tmp_path: Path) -> None:
    client = make(store=str(tmp_path / "s.db"), store_text=False)
    client.post("/v1/score", json=PHONE)
    assert store_of(client).flush()
    (row,) = client.get("/v1/recent").json()["conversations"]
    assert row["conversation"] is None


def test_old_rows_go(tmp_path: Path, model: RiskModel, samples: list[Conversation]) -> None:
    path = tmp_path / "s.db"
    store = Store(path, days=7)
    store.put(samples[0], model.assess(samples[0]))
    store.put(samples[1], model.assess(samples[1]))
    assert store.flush()
    store.add_feedback({"conversation_id": "x", "risk_level": "low"}, None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE assessment SET at = at - 8 * 86400 WHERE conversation_id = 'sample-1'")
        connection.execute("UPDATE feedback SET at = at - 8 * 86400")
    store.close()
    again = Store(path, days=7)
    assert [r["conversation_id"] for r in again.recent(limit=9, least=0)] == ["sample-2"]  # type: ignore[arg-type]
    assert list(read_feedback(path)) == []


def test_masks() -> None:
    assert mask_digits("12315和400-123-4567，１３８００００００００") == "12315和***-***-****，***********"
    assert load_mask("none")("13800000000") == "13800000000"
    assert load_mask("service.store:mask_digits") is mask_digits
    for name in ("nothing", "service.store:nothing", "no.such:module"):
        with pytest.raises(StoreError, match="module:function"):
            load_mask(name)


def test_a_mask_that_changes_the_length_blanks_the_text(tmp_path: Path, model: RiskModel, samples: list[Conversation]) -> None:
    store = Store(tmp_path / "s.db", mask=lambda text: text.replace("12315", "[n]"))
    masked = store.masked(samples[0])
    assert masked["turns"][8]["text"] == "*" * len(samples[0].turns[8].text)
    assert masked["turns"][3]["text"] == samples[0].turns[3].text


def test_feedback_becomes_labelled_cases(make: Make, tmp_path: Path, samples: list[Conversation]) -> None:
    path = tmp_path / "s.db"
    client = make(store=str(path))
    one = samples[3].to_dict()
    client.post("/v1/score", json=samples[0].to_dict())
    assert store_of(client).flush()
    bodies: list[dict[str, Any]] = [
        {"conversation": one, "risk_level": "low", "author": "质检-李"},
        {"conversation": one, "risk_level": "none", "turns": [{"turn": 0, "signals": ["regulator_complaint:asked"]}]},
        {"conversation_id": "sample-1", "topic": "after_sales", "turns": [{"turn": 9, "signals": []}]},
        {"conversation_id": "unknown", "risk_level": "high"},
    ]
    for body in bodies:
        answer = client.post("/v1/feedback", json=body)
        assert answer.status_code == 201, answer.text
    out = tmp_path / "labelled.jsonl"
    assert export_feedback(path, out) == 2
    first, second = read_cases([out])
    assert (first.id, first.level, first.author) == ("sample-4", 0, "质检-李")
    assert first.labels[0] == frozenset({(Signal.REGULATOR_COMPLAINT, Status.ASKED)})
    assert first.labels[1] is None
    assert (second.id, second.level, second.labels[9]) == ("sample-1", None, frozenset())
    assert 'riskmodel_feedback_total 4.0' in client.get("/metrics").text


def test_export_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.db")]) == 2
    assert "no such store" in capsys.readouterr().err
    Store(tmp_path / "s.db")
    assert main([str(tmp_path / "s.db"), "-o", str(tmp_path / "o.jsonl")]) == 0
    assert (tmp_path / "o.jsonl").read_bytes() == b""


def test_a_store_that_cannot_be_opened_is_said_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("not a database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match="RISKMODEL_STORE"):
        Store(file)
    with pytest.raises(StoreError):
        Store("/proc/nowhere/s.db")


def test_a_failing_disk_does_not_stop_scoring_and_loses_nothing(make: Make, tmp_path: Path, samples: list[Conversation]) -> None:
    client = make(store=str(tmp_path / "s.db"))
    store = store_of(client)
    real = store._connect
    full = [True]

    def connect() -> sqlite3.Connection:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return real()

    store._connect = connect  # type: ignore[method-assign]
    for sample in samples:
        assert client.post("/v1/score", json=sample.to_dict()).status_code == 200
    answer = client.post("/v1/feedback", json={"conversation_id": "a", "risk_level": "low"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert not store.flush(0.3)
    full[0] = False
    assert store.flush(5)
    assert len(client.get("/v1/recent?level=none").json()["conversations"]) == len(samples)
    assert "riskmodel_store_errors_total" in client.get("/metrics").text


def test_kill_minus_nine_leaves_a_sound_store(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    code = f"""
import itertools
from service.store import Store
store = Store({str(path)!r})
for i in itertools.count():
    store.add_feedback({{"conversation_id": f"c{{i}}", "risk_level": "low"}}, None)
    print(i, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = 0
        while last < 20:
            last = int(process.stdout.readline())
        process.kill()
        last = max([last, *(int(x) for x in process.stdout.read().split() if x)])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM feedback").fetchone()[0] >= last + 1
    assert json.dumps(Store(path).recent()) == "[]"
