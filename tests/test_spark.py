"""Scoring a Spark table gives what `assess_many` gives, from one row a conversation and from messages."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import riskmodel
from riskmodel.cases import Case

pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'riskmodel[spark]'")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java 17 or newer, and there is none on the path", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # py4j leaves its sockets to the collector
]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        yield session
        session.stop()


@pytest.fixture(scope="module")
def some(corpus: list[Case]) -> list[Case]:
    return [c for c in corpus if c.level is not None][:120]


def test_transcripts_and_messages_equal_the_plain_call(spark: Any, some: list[Case], model: riskmodel.RiskModel) -> None:
    from riskmodel.labelled import frame_conversations
    from riskmodel.spark import assess

    expected = riskmodel.to_frame(model.assess_many(riskmodel.Conversation(c.id, c.conversation.turns) for c in some)).set_index("id")
    messages = [(c.id, i, t.speaker.value, t.text) for c in some for i, t in enumerate(c.conversation.turns)]
    table = spark.createDataFrame(messages[::-1], "chat string, nr int, who string, words string")
    found = {r["id"]: r.asDict() for r in assess(table, id="chat", speaker="who", text="words", order="nr").collect()}
    assert len(found) == len(expected)
    for ident, row in expected.iterrows():
        for column, value in row.items():
            assert found[ident][column] == value, (ident, column)

    texts = riskmodel.cases_frame(some)[["id", "text"]]
    scored = riskmodel.to_frame(model.assess_many(frame_conversations(texts))).set_index("id")
    table = spark.createDataFrame(list(texts.itertuples(index=False, name=None)), "id string, text string")
    for row in assess(table).collect():
        assert row["risk"] == scored.loc[row["id"], "risk"]
        assert row["evidence"] == scored.loc[row["id"], "evidence"]


def test_empty_and_missing_texts_come_back(spark: Any) -> None:
    from riskmodel.spark import assess

    table = spark.createDataFrame([("a", None), ("b", ""), ("c", "我要去12315投诉")], "id string, text string")
    rows = {r["id"]: r for r in assess(table).collect()}
    assert set(rows) == {"a", "b", "c"}
    assert "empty" in rows["a"]["not_analysed"]
    assert rows["c"]["level"] == "high"


def test_the_model_given_is_the_model_used(spark: Any, model: riskmodel.RiskModel, tmp_path: Path) -> None:
    from dataclasses import replace

    from riskmodel.policy import read_policy
    from riskmodel.spark import assess

    strict = replace(model, policy=read_policy(model.policy.source.replace("high = 0.", "high = 0.000")))
    folder = riskmodel.save_model(strict, tmp_path / "strict")
    table = spark.createDataFrame([("a", "客户：等了一上午没人来，心里不痛快")], "id string, text string")
    plain = assess(table).first()["level"]
    assert assess(table, strict).first()["level"] == assess(table, folder).first()["level"] == "high" != plain


def test_bad_calls_say_what_to_write(spark: Any, tmp_path: Path) -> None:
    from riskmodel.spark import assess

    table = spark.createDataFrame([("a", "客户", "好")], "id string, who string, text string")
    with pytest.raises(riskmodel.RiskModelError, match="order="):
        assess(table, speaker="who")
    with pytest.raises(riskmodel.RiskModelError, match="no column '正文'; expected one of id, who, text"):
        assess(table, text="正文")
    with pytest.raises(riskmodel.RiskModelError, match="no model here"):
        assess(table, tmp_path)
