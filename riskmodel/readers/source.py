"""One input: a path, a stream or standard input, opened as often as needed, read as UTF-8 lines."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import tempfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from .encoding import sniff, to_utf8

__all__ = ["MAX_CELL", "MAX_LINE", "TOO_LONG", "Source"]

#: Characters a single message or cell may have.
MAX_CELL = 5_000_000
#: Bytes a line or a JSON value may have; longer ones are rejected without being held in memory.
MAX_LINE = 64 << 20
#: Stands for a line that was longer. It is no valid UTF-8, so that nothing takes it for text.
TOO_LONG = b"\xff too long\n"

_HEAD = 1 << 16
_CHUNK = 1 << 18


class Source:
    """What is read.

    Parameters
    ----------
    where : path, ``-`` or binary or text stream
        A stream is read from where it stands and not closed.
    encoding : str, optional
        A Python codec; recognised by default.

    Attributes
    ----------
    name : str
        For messages.
    stem : str
        What conversations without an id are named after.
    suffix : str
        Ending in small letters, ``.gz`` left off.
    head : bytes
        The first 64 KB, unpacked.
    """

    def __init__(self, where: str | Path | IO[Any], encoding: str | None = None) -> None:
        self._stream: IO[Any] | None = None
        self._path: Path | None = None
        if isinstance(where, (str, Path)) and str(where) != "-":
            self._path = Path(where)
            self.name = str(where)
        else:
            stream: IO[Any] = sys.stdin.buffer if isinstance(where, (str, Path)) else where
            label = getattr(stream, "name", None)
            self.name = label if isinstance(label, str) and not label.startswith("<") else "standard input"
            self._stream = stream
            self._start: int | None = _tell(stream)
            self._taken = False
        plain = Path(self.name if self.name != "standard input" else "stdin")
        plain = plain.with_suffix("") if plain.suffix.lower() == ".gz" else plain
        self.stem, self.suffix = plain.stem, plain.suffix.lower()
        self._owned = False
        self._peeked = b""
        if self._stream is not None and self._start is None:
            self._peeked = _read(self._stream, _HEAD)
        self._zipped = False
        self.head = self._first_bytes()
        if self.head[:2] == b"\x1f\x8b":
            self.keep()
            self._zipped = True
            self.head = self._first_bytes()
        if encoding is not None:
            try:
                "x".encode(encoding)
            except (LookupError, UnicodeError):
                raise InputError(f"there is no encoding {encoding[:30]!r}", where=self.name) from None
        self._encoding = encoding

    @cached_property
    def encoding(self) -> str | None:
        """The encoding, or None when the first 64 KB are ASCII."""
        if self._encoding is not None:
            return self._encoding
        return sniff(self.head, whole=len(self.head) < _HEAD, where=self.name)

    @cached_property
    def text_head(self) -> str:
        """The first 64 KB as text."""
        decoder = codecs.getincrementaldecoder(self.encoding or "utf-8")("replace")
        try:
            return decoder.decode(self.head).removeprefix("\ufeff")
        except UnicodeError:
            return ""

    def open(self) -> IO[bytes]:
        """Open the bytes from the start, unpacked."""
        try:
            if self._path is None:
                raw = io.BufferedReader(_Chunks(self._stream_chunks()), _CHUNK)
                return io.BufferedReader(_raw(gzip.GzipFile(fileobj=raw)), _CHUNK) if self._zipped else raw
            if self._zipped:
                return io.BufferedReader(_raw(gzip.GzipFile(str(self._path))), _CHUNK)
            return self._path.open("rb", _CHUNK)
        except OSError as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        """Remove the temporary copy, if there is one."""
        if self._owned and self._stream is not None:
            self._stream.close()

    def seekable(self) -> IO[bytes]:
        """Open the bytes for formats that are read back and forth."""
        if self._path is not None and not self._zipped:
            return self.open()
        with self.open() as stream:
            return self._copied(self._safely(iter(lambda: stream.read(_CHUNK), b"")))

    def keep(self) -> None:
        """Make a stream that cannot go back readable twice, by a private temporary file."""
        if self._stream is not None and self._start is None:
            self._stream, self._start, self._owned = self._copied(self._stream_chunks()), 0, True

    @staticmethod
    def _copied(chunks: Iterator[bytes]) -> IO[bytes]:
        copy = tempfile.SpooledTemporaryFile(max_size=16 << 20)  # noqa: SIM115 the caller closes it
        copy.writelines(chunks)
        copy.seek(0)
        return copy

    def utf8(self) -> IO[bytes]:
        """Open the text from the start as UTF-8 with ``\\n`` line ends and no byte order mark."""
        encoding = self.encoding
        stream = self.open()
        returns = (
            b"\r" in self.head and b"\n" not in self.head and (encoding or "utf-8")[:6] in ("utf-8", "gb1803")
        )
        if encoding in ("utf-8", "utf-8-sig") and not returns:
            if self.head.startswith(codecs.BOM_UTF8):
                stream.read(3)
            return stream
        chunks = self._transcoded(stream, encoding)
        if returns:
            chunks = (chunk.replace(b"\r", b"\n") for chunk in chunks)
        return io.BufferedReader(_Chunks(chunks), _CHUNK)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines as UTF-8, line end included.

        A line with bytes that mean nothing is yielded as invalid UTF-8; one over `MAX_LINE` as
        `TOO_LONG`.
        """
        with self.utf8() as stream:
            readline = stream.readline
            try:
                while line := readline(MAX_LINE):
                    yield self._bounded(line, stream) if len(line) == MAX_LINE else line
            except (OSError, EOFError, zlib.error) as error:
                raise self._unreadable(error) from None

    def blocks(self) -> Iterator[tuple[list[str], list[int]]]:
        """Yield some thousand decoded lines at a time, line ends included.

        With them come the places of those that are no valid UTF-8, decoded with U+FFFD.
        """
        with self.utf8() as stream:
            while data := self.read(stream, _CHUNK):
                if data[-1:] != b"\n":
                    rest = stream.readline(MAX_LINE)
                    data += self._bounded(rest, stream) if len(rest) == MAX_LINE else rest
                try:
                    yield io.StringIO(data.decode(), newline="\n").readlines(), []
                except UnicodeDecodeError:
                    raw = io.BytesIO(data).readlines()
                    yield (
                        [line.decode("utf-8", "replace") for line in raw],
                        [i for i, line in enumerate(raw) if _is_bad(line)],
                    )

    @staticmethod
    def _bounded(line: bytes, stream: IO[bytes]) -> bytes:
        if line[-1:] == b"\n":
            return line
        while (rest := stream.readline(MAX_LINE)) and rest[-1:] != b"\n":
            pass
        return TOO_LONG

    def read(self, stream: IO[bytes], size: int) -> bytes:
        """Read from a stream that `open` or `utf8` gave."""
        return next(self._safely(iter(lambda: stream.read(size), None)))

    def _transcoded(self, stream: IO[bytes], encoding: str | None) -> Iterator[bytes]:
        with stream:
            chunk = stream.read(_CHUNK)
            while chunk and encoding is None:
                try:
                    encoding = sniff(chunk, whole=len(chunk) < _CHUNK, where=self.name)
                except InputError:
                    encoding = "utf-8"  # far into the file: only the lines with such bytes are lost
                if encoding is None:
                    yield chunk
                    chunk = stream.read(_CHUNK)
            if encoding is None:
                return
            decoder = self._decoder(encoding)
            first = True
            try:
                while chunk:
                    text = decoder.decode(chunk)
                    yield to_utf8(text.removeprefix("\ufeff") if first else text)
                    first = first and not text
                    chunk = stream.read(_CHUNK)
            except UnicodeError:
                raise InputError(
                    f"the text is not in {encoding[:30]}",
                    where=self.name,
                    mend="leave the encoding out, or name another",
                ) from None
            try:
                yield to_utf8(decoder.decode(b"", final=True))
            except UnicodeError:
                yield b"\xff"  # cut in the middle of a character

    def _decoder(self, encoding: str) -> codecs.IncrementalDecoder:
        errors = {"utf-16": "surrogatepass", "utf-32": "replace"}.get(encoding[:6], "surrogateescape")
        try:
            return codecs.getincrementaldecoder(encoding)(errors)
        except LookupError:
            raise InputError(f"there is no encoding {encoding[:30]!r} for text", where=self.name) from None

    def _first_bytes(self) -> bytes:
        if self._stream is not None and self._start is None:
            return self._peeked
        try:
            with self.open() as stream:
                return stream.read(_HEAD)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from None

    def _stream_chunks(self) -> Iterator[bytes]:
        if self._start is not None:
            self._stream.seek(self._start)  # type: ignore[union-attr]
        elif self._taken:
            raise InputError("the stream was read already", where=self.name, mend="open it again")
        else:
            self._taken = True
            yield self._peeked
        while chunk := _read(self._stream, _CHUNK):
            yield chunk

    def _safely(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> InputError:
        if isinstance(error, FileNotFoundError):
            return InputError("no such file", where=self.name, mend="check the path")
        if isinstance(error, IsADirectoryError):
            return InputError(
                "this is a folder", where=self.name, expected="a file", mend="name the files in it"
            )
        if isinstance(error, PermissionError):
            return InputError(
                "the file may not be read", where=self.name, mend="ask for the right to read it"
            )
        if isinstance(error, gzip.BadGzipFile) or not isinstance(error, OSError):
            return InputError("the packed file is damaged", where=self.name, mend="export or copy it again")
        return InputError(f"the file cannot be read ({error.strerror})", where=self.name)


def _is_bad(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _raw(stream: gzip.GzipFile) -> Any:
    return stream  # a GzipFile is no RawIOBase by its type, but reads like one


class _Chunks(io.RawIOBase):
    """A raw stream over chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def _read(stream: Any, size: int) -> bytes:
    """Read up to `size` bytes, fewer only at the end; a text stream is encoded."""
    parts, missing = [], size
    while missing > 0:
        data = stream.read(missing)
        if not data:
            break
        parts.append(data if isinstance(data, bytes) else to_utf8(data))
        missing -= len(parts[-1])
    return b"".join(parts)


def _tell(stream: Any) -> int | None:
    try:
        return int(stream.tell()) if stream.seekable() and not isinstance(stream, io.TextIOBase) else None
    except (AttributeError, OSError, ValueError):
        return None
