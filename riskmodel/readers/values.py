"""JSON values one at a time: lines, one array, or pretty-printed objects, without holding the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from ..errors import InputError
from .rejects import Ledger
from .source import MAX_LINE, TOO_LONG, Source

__all__ = ["is_lines", "json_lines", "loads", "values"]

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:(")|\\?\Z)|[{}\[\]]', re.DOTALL)
_CHUNK = 1 << 18
_WRAPPERS = (
    "data",
    "conversations",
    "items",
    "records",
    "results",
    "result",
    "rows",
    "list",
    "payload",
    "tickets",
    "Items",
)


def loads(data: bytes) -> Any:
    """Parse one JSON value; what orjson refuses (half emoji, control characters, NaN) json may read.

    Raises
    ------
    ValueError
        When neither can.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            value = json.loads(data.decode(), strict=False)
        except (ValueError, RecursionError):
            raise ValueError(error.msg) from None
    return _whole_characters(value)


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(v) for v in value]
    if isinstance(value, dict):
        return {_whole_characters(k): _whole_characters(v) for k, v in value.items()}
    return value


def is_lines(head: str) -> bool:
    """Whether the first line that is not empty is a complete JSON object."""
    line = next((line for line in head.splitlines() if line.strip()), "")
    try:
        return isinstance(loads(line.encode("utf-8", "replace")), dict)
    except ValueError:
        return False


def values(source: Source, ledger: Ledger | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each JSON object and the line it begins on; wrapped lists are unwrapped.

    Parameters
    ----------
    ledger : Ledger or None
        None passes over what is broken silently (it was said before).
    """
    pieces = enumerate(source.lines(), 1) if is_lines(source.text_head) else _pieces(source, ledger)
    for line, piece in pieces:
        if not piece.strip():
            continue
        try:
            value = loads(piece)
        except ValueError as error:
            if ledger is not None:
                ledger.reject(line, "", _reason(piece, error))
            continue
        for item in _unwrapped(value):
            if isinstance(item, dict):
                yield line, item
            elif ledger is not None:
                ledger.reject(line, "", f"the value is a {type(item).__name__}; expected an object")


def json_lines(source: Source, ledger: Ledger, build: Callable[[Any, int], Any]) -> Iterator[Any]:
    """Yield what `build` makes of the value of each line, without Nones."""
    for number, line in enumerate(source.lines(), 1):
        try:
            value = loads(line)
        except ValueError as error:
            if line.strip():
                ledger.reject(number, "", _reason(line, error))
            continue
        made = build(value, number)
        if made is not None:
            yield made


def _reason(piece: bytes, error: ValueError) -> str:
    if piece is TOO_LONG:
        return "the line is over 64 MB"
    try:
        piece.decode()
    except UnicodeDecodeError:
        return "bytes that are not in the file's encoding; save it as UTF-8"
    return f"not valid JSON ({str(error)[:60]}); expected one object in {{}}, or a JSON array of them"


def _unwrapped(value: Any) -> Iterator[Any]:
    for _ in range(3):
        if isinstance(value, list):
            yield from value
            return
        inner = (
            next((value[w] for w in _WRAPPERS if isinstance(value.get(w), (list, dict))), None)
            if isinstance(value, dict)
            else None
        )
        if inner is None or (isinstance(inner, dict) and not _holds_list(inner)):
            break
        if isinstance(inner, list) and not all(isinstance(i, dict) for i in inner[:5]):
            break
        value = inner
    yield from value if isinstance(value, list) else [value]


def _holds_list(value: dict[str, Any]) -> bool:
    return any(isinstance(value.get(w), list) for w in _WRAPPERS)


def _pieces(source: Source, ledger: Ledger | None) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of each top-level object, or of each element of a top-level array."""
    with source.utf8() as stream:
        buffer, at, line, begin, depth, ends = b"", 0, 1, -1, 0, False
        base: int | None = None
        while not ends:
            chunk = source.read(stream, max(_CHUNK, len(buffer)))  # doubling: a long string is scanned anew
            ends = not chunk
            buffer += chunk
            for token in _TOKEN.finditer(buffer, at):
                mark = buffer[token.start()]
                if mark == 0x22:
                    if token[1] is None:
                        at = token.start()
                        break
                elif mark in b"{[":
                    if base is None:
                        base = 1 if mark == 0x5B else 0
                    if depth == base and begin < 0:
                        begin = token.start()
                    depth += 1
                else:
                    depth = max(depth - 1, 0)
                    if depth == base and begin >= 0:
                        yield line + buffer.count(b"\n", 0, begin), buffer[begin : token.end()]
                        begin = -1
                    elif depth == 0:
                        base = None
                at = token.end()
            else:
                at = len(buffer)
            done = at if begin < 0 else begin
            line += buffer.count(b"\n", 0, done)
            buffer, at, begin = buffer[done:], at - done, min(begin, 0)
            if len(buffer) > MAX_LINE:
                raise InputError(
                    "a JSON value of more than 64 MB, or one that is never closed",
                    where=f"{source.name}, line {line}",
                    expected="one object a conversation",
                    mend="write JSON Lines: jq -c '.[]' FILE",
                )
        if begin >= 0 and ledger is not None:
            ledger.reject(line, "", "the file ends in the middle of this value; export it again")
