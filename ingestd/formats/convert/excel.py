"""Excel workbooks (``.xlsx``), one sheet of them: a row of names, and below it the data.

A sheet is in memory as a whole while it is read, so its size is limited.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.formats.convert.rows import Row, lines_of, require_columns
from ingestd.formats.convert.sheets import Cell, Workbook, opened_workbook
from ingestd.formats.drift import distinct_names, spellings

_DIGITS = 15
"""Of a number, as many as Excel knows."""
_DAY_MS = 86_400_000
_LAST_DAY = 2_958_465
"""9999-12-31."""
_UNKNOWN = ColumnSpec(type="string")
_OF_DIGITS = re.compile(r"(?:%[a-zA-Z])+|epoch_m?s")
"""Formats in which moments look like numbers."""


def excel_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is no workbook, too large, or lacks the sheet or a column of the schema;
            or its reader is not installed.
    """
    with opened_workbook(stream) as workbook:
        yield from lines_of(_rows(workbook, source), source)


def _rows(workbook: Workbook, source: SourceSpec) -> Iterator[Row]:
    rows = islice(workbook.rows(source.excel.sheet), source.excel.skip_lines, None)
    names = _names_in(next(rows, ()), source)
    require_columns(names, source)
    known, is_from_1904 = spellings(source), workbook.is_from_1904
    columns = [source.columns[known[name]] if name in known else _UNKNOWN for name in names]
    for row in rows:
        yield {
            name: _value(cell, column, is_from_1904)
            for name, column, cell in zip(names, columns, row, strict=False)
            if name
        }


def _names_in(header: Sequence[Cell], source: SourceSpec) -> list[str]:
    """As the schema tells them apart, ``id_2`` and without a name ``column_3``, or as written."""
    names, known = [name_in(cell) for cell in header], spellings(source)
    every = zip(names, distinct_names(names), strict=True)
    return [distinct if distinct in known else name for name, distinct in every]


def name_in(cell: Cell) -> str:
    """The name of a column that a cell of the header holds."""
    return str(_shown(cell) if isinstance(cell, float) else cell).strip()


def _value(cell: Cell, column: ColumnSpec, is_from_1904: bool) -> Any:
    """For JSON. A number may be a moment, a moment has its own column's format, a text is JSON."""
    if cell == "":
        return None
    if isinstance(cell, float):
        are_digits = any(_OF_DIGITS.fullmatch(format_) for format_ in column.formats)
        moment = None if are_digits else moment_of(cell, column.type, is_from_1904)
        return _shown(cell) if moment is None else _as_written(moment, column)
    if isinstance(cell, date | time):
        return _as_written(cell, column)
    if column.type == "json" and isinstance(cell, str):
        with suppress(ValueError):
            return json.loads(cell)
    return cell


def _shown(number: float) -> int | float:
    """The number that a person sees: not more digits than Excel knows, no point behind a whole."""
    number = float(f"{number:.{_DIGITS}g}")
    return int(number) if number.is_integer() and abs(number) < 10**_DIGITS else number


def _as_written(moment: date | time, column: ColumnSpec) -> Any:
    format_ = column.formats[0] if column.formats else ""
    return moment.strftime(format_) if "%" in format_ else moment


def moment_of(serial: float, type_: str, is_from_1904: bool) -> date | time | None:
    """The date, date-time or time that Excel shows for a number of days; None where it has none.

    Day 0 is 1904-01-01; or day 1 is 1900-01-01, and day 60 a 29th of February that never was.
    """
    if type_ == "time":
        return _after(datetime.min, serial).time() if 0 <= serial < 1 else None
    first, last = (0, _LAST_DAY - 1462) if is_from_1904 else (1, _LAST_DAY)
    is_day = first <= serial < last + 1 and (is_from_1904 or int(serial) != 60)
    if type_ not in ("date", "datetime") or not is_day:
        return None
    start = datetime(1904, 1, 1) if is_from_1904 else datetime(1899, 12, 31 if serial < 60 else 30)
    moment = _after(start, serial)
    return moment if moment.time() != time() else moment.date()


def _after(start: datetime, days: float) -> datetime:
    return start + timedelta(milliseconds=round(days * _DAY_MS))
