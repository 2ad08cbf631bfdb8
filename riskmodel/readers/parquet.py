"""Parquet, by pyarrow, some thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation
from ..errors import InputError
from .grouping import Row
from .objects import conversation_of, has_turns
from .rejects import Ledger
from .source import Source
from .table import read_table
from .wording import Names

__all__ = ["read"]

_BATCH = 8192


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a Parquet file; `Reject.line` is the row's number.

    Rows are messages or transcripts as in a CSV file, or conversations with a list of turns.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            "Parquet files need pyarrow", where=source.name, mend="pip install 'riskmodel[parquet]'"
        ) from None
    with source.seekable() as stream:
        try:
            table = pq.ParquetFile(stream)
            header = [str(name) for name in table.schema_arrow.names]
        except Exception:  # pyarrow raises a dozen kinds on damaged files
            raise _damaged(source) from None

        def batches(columns: list[str] | None) -> Iterator[list[list[Any]]]:
            try:
                for batch in table.iter_batches(batch_size=_BATCH, columns=columns):
                    yield [column.to_pylist() for column in batch.columns]
            except Exception:  # see above
                raise _damaged(source) from None

        def rows(listener: Ledger | None) -> Iterator[Row]:
            yield 0, list(header)
            everything = (row for columns in batches(None) for row in zip(*columns, strict=True))
            for line, cells in enumerate(everything, 1):
                yield line, list(cells)

        first = next(batches(None), [])
        if first and has_turns(dict(zip(header, (c[0] if c else None for c in first), strict=True)), names):
            for line, cells in rows(None):
                if line:
                    made = conversation_of(
                        dict(zip(header, cells, strict=True)), names, ledger, line, source.stem
                    )
                    if made is not None:
                        yield made
        else:

            def keys(i: int) -> Iterator[Any]:
                return (cell for columns in batches([header[i]]) for cell in columns[0])

            yield from read_table(rows, names, ledger, source.stem, keys=keys)


def _damaged(source: Source) -> InputError:
    return InputError(
        "the Parquet file cannot be read", where=source.name, mend="write it again, with pyarrow or Spark"
    )
