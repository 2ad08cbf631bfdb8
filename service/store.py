"""Keeps assessments and feedback in one SQLite file. Off unless a file is named.

One row a conversation (its latest assessment), one a correction. Texts are masked before they are
written, and rows go after the retention time. Assessments are written by a thread of the store's
own, so that scoring never waits for a disk; feedback is on disk when its request is answered.
"""

from __future__ import annotations

import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from riskmodel import Assessment, Conversation, Level, RiskModelError

from . import logs
from .metrics import Metrics

__all__ = ["Store", "StoreError", "load_mask", "mask_digits", "read_feedback"]

Mask = Callable[[str], str]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS assessment (
    conversation_id TEXT PRIMARY KEY, at REAL NOT NULL, level INTEGER NOT NULL, risk REAL NOT NULL,
    model TEXT NOT NULL, assessment TEXT NOT NULL, conversation TEXT
);
CREATE INDEX IF NOT EXISTS assessment_by_level ON assessment (level, at);
CREATE INDEX IF NOT EXISTS assessment_by_time ON assessment (at);
CREATE TABLE IF NOT EXISTS feedback (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, conversation_id TEXT NOT NULL, risk_level TEXT, topic TEXT,
    labels TEXT NOT NULL, comment TEXT NOT NULL, author TEXT NOT NULL, conversation TEXT
);
"""
_DAY = 86_400.0
_LONG_NUMBER = re.compile(r"[0-9０-９](?:[-\s ]?[0-9０-９]){6,}[0-9Xx]?")
_TOGETHER = 200  # rows of one transaction
_QUEUE = 20_000


class StoreError(RiskModelError):
    """The store cannot be read or written."""


def mask_digits(text: str) -> str:
    """Return the text with the digits of numbers of seven or more replaced, its length unchanged.

    Telephone, card and order numbers go; 12315 stays. A centre's own masking takes its place by
    ``RISKMODEL_STORE_MASK=module:function``.
    """
    return _LONG_NUMBER.sub(lambda m: re.sub(r"[0-9０-９Xx]", "*", m[0]), text)


def load_mask(name: str) -> Mask:
    """Return the mask that a setting names."""
    if name == "none":
        return str
    if name == "digits":
        return mask_digits
    module, colon, function = name.partition(":")
    try:
        if not colon:
            raise ImportError
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError):
        raise StoreError(
            "no such function", where="RISKMODEL_STORE_MASK", expected="digits, none or module:function"
        ) from None
    return found  # type: ignore[no-any-return]


class Store:
    """The service's memory.

    Parameters
    ----------
    path : path
    mask : callable
        Text in, text of the same length out; where the length differs, the whole text is blanked, so
        that evidence never points at the wrong words.
    keep_text : bool
        Keep conversations, not assessments alone.
    days : int
        Retention.
    """

    def __init__(
        self, path: str | Path, *, mask: Mask = mask_digits, keep_text: bool = True, days: int = 30, metrics: Metrics | None = None
    ) -> None:
        self.path = Path(path)
        self._mask = mask
        self._keep_text = keep_text
        self._days = days
        self._metrics = metrics
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(_QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot be opened ({error})", where=str(self.path), expected="a SQLite file this user may write",
                mend="see RISKMODEL_STORE",
            ) from None  # fmt: skip
        self.forget()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    # -- writing ----------------------------------------------------------------------------

    def put(self, conversation: Conversation, assessment: Assessment) -> None:
        """Queue an assessment; it replaces the conversation's earlier one."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write, name="riskmodel-store", daemon=True)
                    self._thread.start()
        try:
            self._queue.put_nowait((time.time(), conversation, assessment))
        except queue.Full:
            self._failed("store_full", queue.Full())

    def _write(self) -> None:
        connection: sqlite3.Connection | None = None
        rows: list[tuple[Any, ...]] = []
        last_cleaned, pause = time.monotonic(), 0.1
        while True:
            if not rows:
                rows, ended = self._take()
                if ended and not rows:
                    break
            try:
                connection = connection or self._connect()
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT INTO assessment VALUES (?,?,?,?,?,?,?) ON CONFLICT (conversation_id) DO UPDATE SET "
                    "at=excluded.at, level=excluded.level, risk=excluded.risk, model=excluded.model, "
                    "assessment=excluded.assessment, conversation=excluded.conversation",
                    rows,
                )
                connection.execute("COMMIT")
                for _ in rows:
                    self._queue.task_done()
                rows, pause = [], 0.1
                if time.monotonic() - last_cleaned > 3600:
                    last_cleaned = time.monotonic()
                    self.forget()
            except sqlite3.Error as error:
                # A full disk may be freed: keep what is waiting and try again.
                self._failed("store_write_failed", error)
                if connection is not None:
                    connection.close()
                    connection = None
                if self._closing.wait(pause):
                    break
                pause = min(pause * 2, 30)
        if connection is not None:
            connection.close()

    def _take(self) -> tuple[list[tuple[Any, ...]], bool]:
        """Wait for something to write; return the rows, and whether the store is closing."""
        rows: list[tuple[Any, ...]] = []
        item = self._queue.get()
        while item is not None:
            rows.append(self._row(*item))
            if len(rows) >= _TOGETHER:
                return rows, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return rows, False
        self._queue.task_done()
        if rows:
            self._queue.put(None)  # end after these
        return rows, True

    def _row(self, at: float, conversation: Conversation, assessment: Assessment) -> tuple[Any, ...]:
        masked = self.masked(conversation)
        texts = [turn["text"] for turn in masked["turns"]]
        data = assessment.to_dict()
        for item in data["evidence"]:
            item["text"] = texts[item["turn"]][item["start"] : item["end"]]
        data["reasons"] = [r for r in data["reasons"] if not r["feature"].startswith("words:")]
        kept = orjson.dumps(masked).decode() if self._keep_text else None
        return (
            conversation.id, at, int(assessment.level), assessment.risk, assessment.model.digest,
            orjson.dumps(data).decode(), kept,
        )  # fmt: skip

    def masked(self, conversation: Conversation) -> dict[str, Any]:
        """Return the conversation as it may be kept."""
        data = conversation.to_dict()
        for key in [k for k in data if k not in ("id", "turns", "customer_id", "agent_id", "channel", "opened_at")]:
            del data[key]  # what nobody asked for is not kept
        for turn in data["turns"]:
            text = turn["text"]
            masked = self._mask(text)
            turn["text"] = masked if len(masked) == len(text) else "*" * len(text)
        return data

    def add_feedback(self, feedback: dict[str, Any], conversation: Conversation | None) -> int:
        """Write a correction; it is on disk on return.

        Raises
        ------
        StoreError
        """
        kept = orjson.dumps(self.masked(conversation)).decode() if conversation is not None and self._keep_text else None
        try:
            with closing(self._connect()) as connection:
                cursor = connection.execute(
                    "INSERT INTO feedback (at, conversation_id, risk_level, topic, labels, comment, author, conversation) "
                    "VALUES (?,?,?,?,?,?,?,?)",
                    (
                        time.time(), feedback["conversation_id"], feedback.get("risk_level"), feedback.get("topic"),
                        orjson.dumps(feedback.get("turns", [])).decode(), self._mask(feedback.get("comment", "")),
                        feedback.get("author", ""), kept,
                    ),
                )  # fmt: skip
                return int(cursor.lastrowid or 0)
        except sqlite3.Error as error:
            self._failed("store_write_failed", error)
            raise StoreError("the correction could not be kept", mend="try again; the server's log says why") from None

    def forget(self) -> int:
        """Delete what is older than the retention; return how many rows."""
        limit = time.time() - self._days * _DAY
        try:
            with closing(self._connect()) as connection:
                gone = connection.execute("DELETE FROM assessment WHERE at < ?", (limit,)).rowcount
                return gone + connection.execute("DELETE FROM feedback WHERE at < ?", (limit,)).rowcount
        except sqlite3.Error as error:
            self._failed("store_cleaning_failed", error)
            return 0

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what was queued is on disk; return whether it is."""
        end = time.monotonic() + timeout_s
        while self._queue.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)
        return not self._queue.unfinished_tasks

    def close(self) -> None:
        """Write what waits, then stop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(5)
            self._closing.set()
            self._thread.join(1)
            if lost := max(0, self._queue.unfinished_tasks - 1):
                logs.event("store_lost", rows=lost)
            self._thread = None

    def _failed(self, name: str, error: Exception) -> None:
        if self._metrics is not None:
            self._metrics.store_errors.inc()
        logs.failure(name, error, reason=str(error) if isinstance(error, sqlite3.Error) else "")

    # -- reading ----------------------------------------------------------------------------

    def recent(self, least: Level = Level.HIGH, limit: int = 20) -> list[dict[str, Any]]:
        """Return the latest conversations of a level or above, newest first."""
        with closing(self._connect()) as connection:
            rows = connection.execute(
                "SELECT conversation_id, at, assessment, conversation FROM assessment WHERE level >= ? "
                "ORDER BY at DESC LIMIT ?",
                (int(least), limit),
            ).fetchall()
        return [
            {
                "conversation_id": ident,
                "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
                "assessment": orjson.loads(assessment),
                "conversation": orjson.loads(conversation) if conversation else None,
            }
            for ident, at, assessment, conversation in rows
        ]


def read_feedback(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the corrections as labelled cases of the contract, one a conversation, oldest first.

    Later corrections of a conversation override earlier ones field by field. Corrections of
    conversations whose text was not kept are left out.

    Raises
    ------
    StoreError
        When there is no store at `path`.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError("no such store", where=str(path), expected="the file that RISKMODEL_STORE names")
    cases: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, Any]] = {}
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            for ident, text in connection.execute("SELECT conversation_id, conversation FROM assessment WHERE conversation IS NOT NULL"):
                texts[ident] = orjson.loads(text)
            rows = connection.execute(
                "SELECT conversation_id, risk_level, topic, labels, author, conversation FROM feedback ORDER BY id"
            ).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"cannot be read ({error})", where=str(path)) from None
    for ident, level, topic, labels, author, text in rows:
        case = cases.setdefault(ident, {"labels": {}})
        if text:
            texts[ident] = orjson.loads(text)
        case.update({k: v for k, v in (("risk_level", level), ("topic", topic), ("author", author)) if v})
        case["labels"].update({item["turn"]: item["signals"] for item in orjson.loads(labels)})
    for ident, case in cases.items():
        if ident not in texts:
            continue
        conversation = texts[ident]
        for turn, signals in case.pop("labels").items():
            if turn < len(conversation["turns"]):
                conversation["turns"][turn]["signals"] = signals
        yield {**conversation, **case, "author": case.get("author") or "feedback"}
