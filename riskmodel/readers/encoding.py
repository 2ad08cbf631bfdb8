"""Which encoding bytes are in: strict attempts first, then whether the result reads like Chinese."""

from __future__ import annotations

import codecs

from ..errors import InputError
from .wording import default_wording

__all__ = ["sniff", "to_utf8"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = ("gb18030", "cp950")
_WIDE_SHARE = 0.02  # of zero bytes: separators and line ends alone make as many
_PLAUSIBLE = 0.15  # share of everyday characters; real text has 0.6, wrongly decoded text 0.03
_FEW = 12


def sniff(data: bytes, *, whole: bool, where: str) -> str | None:
    """Return the encoding of the beginning of a file.

    Parameters
    ----------
    data : bytes
    whole : bool
        Whether `data` is the whole file; otherwise its last character may be cut.
    where : str
        The file, for the error.

    Returns
    -------
    str or None
        A Python codec's name, or None for pure ASCII: the rest of the file may be anything.

    Raises
    ------
    InputError
        When no encoding makes readable text of it.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    if data.count(0) > len(data) * _WIDE_SHARE:
        return _wide(data, where)
    all_lines = [line for line in data.split(b"\n") if line.strip()]
    if not whole and len(all_lines) > 1:
        all_lines, whole = all_lines[:-1], True
    lines = [line for line in all_lines if not line.isascii()]
    if not lines:
        return None
    good = sum(_decodes(line, "utf-8", whole) for line in lines)
    if good * 2 > len(lines):
        return "utf-8"
    shares = {name: _share(lines, name, whole) for name in _LEGACY}
    best = max(_LEGACY, key=lambda name: shares[name])
    if shares[best] >= _PLAUSIBLE:
        return best
    if good or len(lines) * 2 < len(all_lines):
        return "utf-8"  # the other lines can be read; these are rejected one by one
    raise InputError(
        "the text's encoding is not known",
        where=where,
        expected="UTF-8, UTF-16, GB18030 (GBK) or Big5",
        mend="save it as UTF-8 (in Excel: “CSV UTF-8”), or name the encoding",
    )


def to_utf8(text: str) -> bytes:
    """Encode text so that bytes that had no meaning stay invalid UTF-8: their line is then rejected."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decodes(line: bytes, name: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(line, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _share(lines: list[bytes], name: str, whole: bool) -> float:
    """Return which share of the characters is everyday Chinese, 0 when most lines cannot be decoded."""
    frequent = default_wording().frequent
    common = total = failed = 0
    for line in lines:
        try:
            text = codecs.getincrementaldecoder(name)().decode(line, final=whole)
        except UnicodeDecodeError:
            failed += 1
            continue
        wide = [c for c in text if c > "\x7f"]
        total += len(wide)
        common += sum(c in frequent for c in wide)
    if failed * 2 > len(lines) or not total:
        return 0.0
    if total < _FEW and name == "gb18030" and not common and not failed:
        return _PLAUSIBLE if _level_one(lines) else 0.0
    return common / total


def _level_one(lines: list[bytes]) -> bool:
    """Whether every character is a common Simplified one by its place in GB 2312."""
    wide = [c for line in lines for c in line.decode("gb18030", "replace") if c > "\x7f"]
    encoded = [c.encode("gb2312", "ignore") for c in wide]
    return all(len(e) == 2 and 0xB0 <= e[0] <= 0xD7 for e in encoded)


def _wide(data: bytes, where: str) -> str:
    # Zeros alone do not tell the order of bytes: 一 is 4E 00. What reads like Chinese does.
    shares = {name: _readable(data, name) for name in ("utf-16-le", "utf-16-be")}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] >= 2 * _PLAUSIBLE:
        return best
    raise InputError(
        "this is not text",
        where=where,
        expected="a text file, an Excel workbook (.xlsx) or a Parquet file",
        mend="export the conversations as one of these",
    )


def _readable(data: bytes, name: str) -> float:
    """Return which share of the characters is ASCII or everyday Chinese."""
    frequent = default_wording().frequent
    try:
        text = codecs.getincrementaldecoder(name)().decode(data, final=False)
    except UnicodeDecodeError:
        return 0.0
    return sum(("\x20" <= c < "\x7f" or c in "\t\r\n" or c in frequent) for c in text) / max(len(text), 1)
