"""Excel workbooks (.xlsx), by openpyxl: every sheet that has a header of messages."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from ..conversation import Conversation
from ..errors import InputError
from .grouping import Row
from .rejects import Ledger
from .source import Source
from .table import find_layout, read_table
from .wording import Names

__all__ = ["read", "sheet_rows", "workbook"]

_MAX_ROWS = 1_048_576  # of the format; a row that claims a higher number would be counted up to
_LARGE = 64 << 20
_MAX_RATIO = 200  # sheets pack 10 to 60 times smaller; only bombs go beyond
_MAX_UNPACKED = 4 << 30


def read(source: Source, names: Names, ledger: Ledger) -> Iterator[Conversation]:
    """Yield the conversations of a workbook; `Reject.line` is the sheet's row."""
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            "Excel files need openpyxl",
            where=source.name,
            mend="pip install 'riskmodel[excel]', or save the sheet as CSV",
        ) from None
    with source.seekable() as stream:
        book = workbook(openpyxl, stream, source)
        try:
            found, problem = [], None
            for sheet in book.worksheets:
                try:
                    find_layout(sheet_rows(sheet, source), names, f"{source.name}, sheet {sheet.title}")
                    found.append(sheet)
                except InputError as error:
                    problem = error
            if not found:
                raise problem or InputError("the workbook has no sheets", where=source.name)
            for sheet in found:
                stem = source.stem if len(found) == 1 else f"{source.stem}-{sheet.title}"

                def rows(listener: Ledger | None, sheet: Any = sheet) -> Iterator[Row]:
                    return sheet_rows(sheet, source)

                yield from read_table(rows, names, ledger, stem, twice=False)
        finally:
            book.close()


def workbook(openpyxl: Any, stream: Any, source: Source) -> Any:
    """Open a workbook for reading."""
    try:
        with warnings.catch_warnings():
            _refuse_bombs(stream, source)
            warnings.simplefilter("ignore")  # on styles and validations, which nobody reads here
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            list(book.worksheets)
    except InputError:
        raise
    except Exception:  # openpyxl lets zipfile's, the XML parser's and its own errors through
        raise _damaged(source) from None
    return book


def sheet_rows(sheet: Any, source: Source) -> Iterator[Row]:
    """Yield a sheet's rows that are not empty, as (row, cells)."""
    try:
        sheet.reset_dimensions()  # some exporters write a wrong one
        for line, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            if line > _MAX_ROWS:
                raise _damaged(source)
            if any(c is not None for c in cells):
                yield line, list(cells)
    except InputError:
        raise
    except Exception:  # see above: damage shows only when the sheet is read
        raise _damaged(source) from None


def _refuse_bombs(stream: Any, source: Source) -> None:
    """Refuse a workbook that unpacks to far more than such files do, before anything is unpacked."""
    with zipfile.ZipFile(stream) as archive:
        parts = archive.infolist()
    bloated = any(p.file_size > _LARGE and p.file_size > _MAX_RATIO * max(p.compress_size, 1) for p in parts)
    if bloated or sum(p.file_size for p in parts) > _MAX_UNPACKED:
        raise InputError(
            "the workbook unpacks to far more than its size", where=source.name,
            expected=f"at most {_MAX_RATIO} times its size, and {_MAX_UNPACKED >> 30} GB", mend="save the sheet as “CSV UTF-8”",
        )  # fmt: skip


def _damaged(source: Source) -> InputError:
    return InputError(
        "the workbook cannot be opened",
        where=source.name,
        expected="an .xlsx file without a password",
        mend="open it in Excel and save it as .xlsx or “CSV UTF-8”",
    )
