"""Excel workbooks (.xlsx), by openpyxl: every sheet that has a header of messages."""

from __future__ import annotations

import warnings
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
            warnings.simplefilter("ignore")  # on styles and validations, which nobody reads here
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            list(book.worksheets)
    except Exception:  # openpyxl lets zipfile's, the XML parser's and its own errors through
        raise _damaged(source) from None
    return book


def sheet_rows(sheet: Any, source: Source) -> Iterator[Row]:
    """Yield a sheet's rows that are not empty, as (row, cells)."""
    try:
        sheet.reset_dimensions()  # some exporters write a wrong one
        for line, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            if any(c is not None for c in cells):
                yield line, list(cells)
    except Exception:  # see above: damage shows only when the sheet is read
        raise _damaged(source) from None


def _damaged(source: Source) -> InputError:
    return InputError(
        "the workbook cannot be opened",
        where=source.name,
        expected="an .xlsx file without a password",
        mend="open it in Excel and save it as .xlsx or “CSV UTF-8”",
    )
