"""Scoring files: streamed in chunks, in input order, over several processes, resumable after a kill.

Results are staged as JSON Lines beside the output, one complete line a conversation, and become the
output (JSON Lines, CSV, Excel or Parquet, by its ending) only when all is done.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import IO, Any

import orjson

from .artifact import load_model
from .assessment import Assessment
from .conversation import Conversation
from .errors import InputError
from .frames import flat_row
from .history import History, is_complaint
from .model import RiskModel
from .policy import Policy
from .taxonomy import Level

__all__ = ["ENDINGS", "Summary", "score_file", "score_lines"]

ENDINGS = (".jsonl", ".json", ".csv", ".xlsx", ".parquet")
_CHUNK = 2_000  # conversations: what repeats among them is read once
_FLUSH = 500
_FORMULA = frozenset("=+-@＝＋－＠")
_BLANKS = frozenset("\t\r\n")  # a spreadsheet may drop them and read what follows as a formula
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    conversations: int
    rejected: int
    resumed: int
    levels: dict[str, int]
    not_analysed: dict[str, int]
    seconds: float


def score_lines(
    conversations: Iterable[Conversation],
    model: RiskModel,
    *,
    jobs: int = 1,
    model_path: str | None = None,
    policy: Policy | None = None,
    explain: bool = False,
    history: History | None = None,
) -> Iterator[bytes]:
    """Yield the JSON line of each conversation, in input order.

    With more than one job the chunks are scored in processes that each load the model once. Complaints
    of customers are counted on from `history`.
    """
    history = history or History(model.policy)
    source = iter(conversations)
    chunks = iter(lambda: list(islice(source, _CHUNK)), [])
    if jobs <= 1:
        for chunk in chunks:
            for conversation, assessment in zip(chunk, model.assess_many(chunk, explain=explain), strict=True):
                yield _line(conversation, assessment, model, history)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (model_path, policy)) as pool:
        waiting: deque[tuple[list[Conversation], Future[list[bytes | Assessment]]]] = deque()

        def finished() -> Iterator[bytes]:
            chunk, future = waiting.popleft()
            for conversation, result in zip(chunk, future.result(), strict=True):
                yield result if isinstance(result, bytes) else _line(conversation, result, model, history)

        for chunk in chunks:
            waiting.append((chunk, pool.submit(_score_in_worker, chunk, explain)))
            if len(waiting) > 2 * jobs:  # bounded: memory does not grow with the file
                yield from finished()
        while waiting:
            yield from finished()


def _line(conversation: Conversation, assessment: Assessment, model: RiskModel, history: History) -> bytes:
    earlier = history.count(conversation, assessment)
    if earlier + 1 >= model.policy.complaints:
        assessment = model.assess(conversation, past_complaints=earlier)
    return _packed(assessment)


def _packed(assessment: Assessment) -> bytes:
    """Return the JSON of an assessment; halves of characters, which UTF-8 cannot hold, become `?`."""
    try:
        return orjson.dumps(assessment.to_dict())
    except TypeError:
        import json

        return json.dumps(assessment.to_dict(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


_worker: RiskModel | None = None  # one model a worker process, set when the process starts


def _start_worker(model_path: str | None, policy: Policy | None) -> None:
    global _worker
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = load_model(model_path, policy=policy)


def _end_with_parent() -> None:
    """End this process when the run is killed: it would wait for work forever, with a model in memory."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score_in_worker(chunk: list[Conversation], explain: bool) -> list[bytes | Assessment]:
    """Return finished lines; complaints of known customers go back whole, to be counted in order."""
    assert _worker is not None
    results = _worker.assess_many(chunk, explain=explain)
    return [
        a if c.customer_id and is_complaint(a, _worker.policy) else _packed(a)
        for c, a in zip(chunk, results, strict=True)
    ]


def score_file(
    conversations: Iterable[Conversation],
    output: Path,
    model: RiskModel,
    *,
    jobs: int = 1,
    model_path: str | None = None,
    policy: Policy | None = None,
    explain: bool = False,
    resume: bool = False,
    rejected: Callable[[], int] = lambda: 0,
    progress: Progress = lambda _: None,
) -> Summary:
    """Score conversations into a file.

    The output appears when everything is written. With `resume`, lines that an interrupted run
    staged are kept, and the same number of conversations at the head of the input is skipped.

    Raises
    ------
    InputError
        When the output's ending is unknown or its folder cannot be written.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"cannot write {output.suffix or 'a file without an ending'!r}", where=str(output), expected=", ".join(ENDINGS))
    started = time.monotonic()
    stage = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        levels: Counter[str] = Counter()
        unread: Counter[str] = Counter()
        with _only_one(stage):
            count = done = _kept_lines(stage) if resume else 0
            with stage.open("ab" if done else "wb") as sink:
                rest = iter(conversations)
                history = _replayed(islice(rest, done), stage, done, model)
                for line in score_lines(
                    rest, model, jobs=jobs, model_path=model_path, policy=policy, explain=explain, history=history
                ):
                    sink.write(line + b"\n")
                    count += 1
                    if count % _FLUSH == 0:
                        sink.flush()
                        progress(count)
            for row in _rows(stage):
                levels[row["level"]] += 1
                unread.update(n["reason"] for n in row["not_analysed"])
            _finish(stage, output)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=str(output), mend="choose another folder with -o, or free space, and run again with --resume") from error
    progress(count)
    return Summary(
        count, rejected(), done, {lv.label: levels[lv.label] for lv in Level}, dict(unread), time.monotonic() - started
    )


def _kept_lines(stage: Path) -> int:
    """Cut a torn last line off, and return how many complete lines there are."""
    if not stage.exists():
        return 0
    with stage.open("rb+") as file:
        count, keep = 0, 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            count += 1
            keep += len(line)
        file.truncate(keep)
    return count


def _replayed(conversations: Iterable[Conversation], stage: Path, done: int, model: RiskModel) -> History:
    """Count the complaints of the conversations that an interrupted run scored."""
    history = History(model.policy)
    read = 0
    for conversation, row in zip(conversations, _rows(stage) if done else (), strict=False):
        if row["id"] != conversation.id or row["model"]["digest"] != model.ref.digest:
            raise InputError(
                "the interrupted run scored other conversations, or with another model", where=f"{stage}, line {read + 1}",
                mend="run again without --resume",
            )  # fmt: skip
        history.count(conversation, Assessment.from_dict(row))
        read += 1
    if read < done:
        raise InputError("the interrupted run scored more conversations than the input has", where=str(stage), mend="run again without --resume")
    return history


class _only_one:  # noqa: N801
    """Refuse to stage the same output from two processes at once."""

    def __init__(self, stage: Path) -> None:
        self._lock = stage.with_suffix(".lock")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        with suppress(ImportError):  # not on Windows
            import fcntl

            self._file = self._lock.open("wb")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = self._is_gone()
            except BlockingIOError:
                taken = True
            if taken:
                self._file.close()
                raise InputError("another run is writing this output", where=str(self._lock), mend="wait for it, or choose another -o")

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._lock.unlink(missing_ok=True)
            self._file.close()

    def _is_gone(self) -> bool:
        """Whether the run that held the lock removed the file while this one opened it."""
        assert self._file is not None
        return os.fstat(self._file.fileno()).st_nlink == 0


def _rows(stage: Path) -> Iterator[dict[str, Any]]:
    with stage.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _finish(stage: Path, output: Path) -> None:
    if output.suffix == ".jsonl":
        os.replace(stage, output)
        return
    made = output.with_name(f".{output.name}.made")
    if output.suffix == ".json":
        with made.open("wb") as sink:
            for i, row in enumerate(_rows(stage)):
                sink.write((b"[\n" if i == 0 else b",\n") + orjson.dumps(row))
            sink.write(b"\n]\n")
    else:
        _write_table(stage, made, output.suffix)
    os.replace(made, output)
    stage.unlink()


def _write_table(stage: Path, made: Path, ending: str) -> None:
    rows = (_safe(flat_row(Assessment.from_dict(row))) for row in _rows(stage))
    first = next(rows, None)
    if ending == ".csv":
        import csv

        with made.open("w", encoding="utf-8-sig", newline="") as sink:  # the mark tells Excel it is UTF-8
            if first is not None:
                writer = csv.DictWriter(sink, list(first))
                writer.writeheader()
                writer.writerow(first)
                writer.writerows(rows)
    elif ending == ".xlsx":
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet("riskmodel")
        if first is not None:
            sheet.append(list(first))
            sheet.append(list(first.values()))
            for row in rows:
                sheet.append(list(row.values()))
        book.save(made)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        writer = None
        batch = [] if first is None else [first]
        while batch or first is not None:
            batch.extend(islice(rows, 5_000 - len(batch)))
            if not batch:
                break
            table = pa.Table.from_pylist(batch)
            writer = writer or pq.ParquetWriter(made, table.schema)
            writer.write_table(table)
            batch = []
        if writer:
            writer.close()
        else:
            pq.write_table(pa.table({"id": pa.array([], pa.string())}), made)


def _safe(row: dict[str, Any]) -> dict[str, Any]:
    """Keep spreadsheets from running a cell, and from refusing it.

    Text that starts like a formula, also in full-width characters or after blanks, gets an
    apostrophe; control characters, which a workbook cannot hold, become blanks.
    """
    return {k: _safe_text(v) if isinstance(v, str) else v for k, v in row.items()}


def _safe_text(text: str) -> str:
    text = _CONTROL.sub(" ", text)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA or text[:1] in _BLANKS else text
