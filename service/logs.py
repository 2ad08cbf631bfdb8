"""JSON logs: ids, lengths, levels, times. Never the text of a message."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

__all__ = ["event", "failure", "set_up_logs"]

_LOGGER = logging.getLogger("riskmodel.service")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return orjson.dumps(
            {"at": at, "severity": record.levelname.lower(), "event": record.getMessage(), **fields}, default=str
        ).decode()


class _Output(logging.StreamHandler[Any]):
    """Writes to what standard output is at the time, and takes a closed pipe quietly."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        return


def set_up_logs(mode: str) -> None:
    """Send the service's events to standard output, or nowhere."""
    for handler in list(_LOGGER.handlers):
        if isinstance(handler, (_Output, logging.NullHandler)):
            _LOGGER.removeHandler(handler)
    handler = _Output() if mode == "json" else logging.NullHandler()
    handler.setFormatter(_JsonLines())
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


def event(what: str, /, severity: int = logging.INFO, **fields: Any) -> None:
    """Log one event."""
    if _LOGGER.isEnabledFor(severity):
        _LOGGER.log(severity, what, extra={"fields": fields})


def failure(what: str, error: BaseException, /, **fields: Any) -> None:
    """Log an unexpected error: its type and where it arose, not its words, which may quote a text."""
    frames = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
    event(what, logging.ERROR, error=type(error).__name__, frames=frames, **fields)
