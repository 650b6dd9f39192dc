"""Excel workbooks (``.xlsx``), one sheet of them: its first row with content names the columns.

A sheet is in memory as a whole while it is read, so its size is limited.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats import zips
from ingestd.formats.convert.rows import (
    Row,
    lines_of,
    require_columns,
    require_seekable,
    require_start,
)
from ingestd.formats.damage import refusing_damage
from ingestd.formats.drift import spellings

_NAME = "an Excel workbook (.xlsx)"
_DAMAGED = ("damaged_workbook", "the workbook")
_MAX_UNPACKED_BYTES = 2**28


def excel_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is no workbook, too large, or lacks the sheet or a column of the schema;
            or its reader is not installed.
    """
    require_start(stream, zips.MAGIC, _NAME)
    require_seekable(stream, _NAME)
    _require_moderate_size(stream)
    yield from lines_of(_rows(_cells(stream, source.excel.sheet), source), source)


def _require_moderate_size(stream: io.BufferedReader) -> None:
    with refusing_damage(*_DAMAGED), zipfile.ZipFile(stream) as archive:
        size_bytes = sum(member.file_size for member in archive.infolist())
    if size_bytes > _MAX_UNPACKED_BYTES:
        raise FileRefused(
            "workbook_too_large",
            f"the workbook unpacks to {size_bytes} bytes; allowed: {_MAX_UNPACKED_BYTES}",
            'save the sheet as CSV, for a source with format = "csv"',
        )
    stream.seek(0)


def _cells(stream: io.BufferedReader, sheet: str | None) -> Iterator[list[Any]]:
    try:
        import python_calamine as calamine  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FileRefused(
            "missing_extra", "what reads Excel workbooks is not installed",
            "pip install 'ingestd[excel]', and drop the file again",
        ) from error  # fmt: skip
    with refusing_damage(*_DAMAGED):
        book = calamine.CalamineWorkbook.from_filelike(stream)
        if sheet is not None and sheet not in book.sheet_names:
            raise FileRefused(
                "missing_sheet", f"the workbook has no sheet {sheet!r}",
                f"it has {', '.join(map(repr, book.sheet_names[:50]))}; see excel.sheet",
            )  # fmt: skip
        yield from book.get_sheet_by_name(sheet or book.sheet_names[0]).iter_rows()


def _rows(cells: Iterator[list[Any]], source: SourceSpec) -> Iterable[Row]:
    """Rows without content are none; an empty cell is null."""
    filled = (row for row in cells if any(cell != "" for cell in row))
    names = [str(cell).strip() for cell in next(filled, ())]
    require_columns(names, source)
    known = spellings(source).items()
    json_names = {key for key, name in known if source.columns[name].type == "json"}
    for row in filled:
        yield {
            name: _value(cell, is_json=name in json_names)
            for name, cell in zip(names, row, strict=False)
            if name
        }


def _value(cell: Any, *, is_json: bool) -> Any:
    if cell == "":
        return None
    if is_json and isinstance(cell, str):
        with suppress(ValueError):
            return json.loads(cell)
    return cell
