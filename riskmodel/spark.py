"""Scoring a Spark table: the same code on every executor, the model shipped to each once.

>>> from riskmodel.spark import assess           # doctest: +SKIP
>>> scored = assess(spark.table("chats"), id="session_id", text="transcript")   # doctest: +SKIP

The executors need the riskmodel package, not the model: its files are broadcast from the driver, and
their digests are checked where they arrive. Each conversation is judged on its own; the count of a
customer's complaints within a year needs files in order, and is left to ``riskmodel score``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .artifact import load_model, save_model
from .errors import ArtifactError, InputError
from .frames import flat_row, from_frame
from .labelled import frame_conversations
from .model import RiskModel

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

__all__ = ["assess"]

_loaded: dict[str, RiskModel] = {}  # one model a Python worker, which Spark uses again for its next tasks


def assess(
    dataframe: DataFrame,
    model: RiskModel | str | Path | None = None,
    *,
    id: str = "id",
    text: str = "text",
    speaker: str | None = None,
    order: str | None = None,
) -> DataFrame:
    """Judge the conversations of a Spark table.

    Parameters
    ----------
    dataframe : pyspark.sql.DataFrame
        One row a conversation, its text a transcript (客户：… 客服：…) or what the customer said; with
        `speaker` one row a message.
    model : RiskModel, path or None
        The package's own by default.
    id, text, speaker, order : str
        Names of the columns. A table of messages needs `order` (a time or a running number), because
        Spark keeps none.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns of `riskmodel.to_frame`, one row a conversation; join it to yours by ``id``.

    Raises
    ------
    InputError
        When a column is missing.
    """
    if speaker is not None and order is None:
        raise InputError(
            "a table of messages has no order in Spark", expected="order= with a time or a running number", mend='assess(..., order="time")'
        )
    for column in (id, text, *((speaker, order) if speaker is not None else ())):
        if column not in dataframe.columns:
            raise InputError(f"there is no column {column!r}", expected="one of " + ", ".join(dataframe.columns), mend="name it in the call")
    shipped = dataframe.sparkSession.sparkContext.broadcast(_files(model))
    score: Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]
    if speaker is None:
        rows = dataframe.selectExpr(f"cast(`{id}` as string) as id", f"cast(`{text}` as string) as text")
        score = partial(_score, shipped, False)
    else:
        # Sorting inside the groups puts each conversation's messages in order, whatever the partitions.
        turn = f"struct(`{order}` as at, cast(`{speaker}` as string) as speaker, cast(`{text}` as string) as text)"
        rows = dataframe.groupBy(dataframe[id].cast("string").alias("id")).agg(_sql(f"sort_array(collect_list({turn}))").alias("turns"))
        rows = rows.selectExpr("id", "transform(turns, t -> t.speaker) as speaker", "transform(turns, t -> t.text) as text")
        score = partial(_score, shipped, True)
    return rows.mapInPandas(score, _schema())


def _sql(expression: str) -> Any:
    from pyspark.sql.functions import expr

    return expr(expression)


def _files(model: RiskModel | str | Path | None) -> dict[str, bytes]:
    if isinstance(model, RiskModel):
        with TemporaryDirectory() as folder:
            return _files(save_model(model, folder))
    if model is None:
        with as_file(files("riskmodel") / "resources/model") as own:
            return _files(own)
    source = Path(model)
    if not (source / "card.json").is_file():
        raise ArtifactError("no model here", where=str(source), expected="a folder that riskmodel train or save_model wrote")
    return {p.name: p.read_bytes() for p in source.iterdir() if p.suffix in (".json", ".npz", ".toml", ".txt")}


def _model(contents: Mapping[str, bytes]) -> RiskModel:
    key = contents["card.json"].decode()
    if key not in _loaded:
        with TemporaryDirectory() as folder:
            for name, data in contents.items():
                (Path(folder) / name).write_bytes(data)
            _loaded.clear()
            _loaded[key] = load_model(folder)
    return _loaded[key]


def _score(shipped: Any, messages: bool, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import pandas as pd

    model = _model(shipped.value)
    for batch in batches:
        if messages:
            conversations = from_frame(batch.explode(["speaker", "text"]), id="id", speaker="speaker", text="text")
        else:
            conversations = frame_conversations(batch)
        yield pd.DataFrame([flat_row(a) for a in model.assess_many(conversations)], columns=_columns())


def _columns() -> list[str]:
    from .assessment import Assessment, ModelRef
    from .taxonomy import Level, Topic

    return list(flat_row(Assessment("", Level.NONE, 0.0, (1.0, 0.0, 0.0, 0.0), Topic.OTHER, (), (), (), (), (), ModelRef("", "", ""))))


def _schema() -> str:
    return ", ".join(f"{c} {'double' if c == 'risk' or c.startswith('p_') else 'string'}" for c in _columns())
