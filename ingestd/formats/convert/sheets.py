"""Sheets of an Excel workbook (``.xlsx``) as rows of cells, as a person sees them in Excel.

A cell with an error is its text (``#N/A``), a formula that no program has calculated is the
formula, and a cell that is merged over several rows counts for each of them.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

from ingestd.errors import FileRefused
from ingestd.formats import zips
from ingestd.formats.convert.rows import require_seekable, require_start
from ingestd.formats.damage import refusing_damage

Cell: TypeAlias = Any
"""A text, a bool, a number, a moment or a duration; an empty one is an empty text."""

_NAME = "an Excel workbook (.xlsx)"
_MAX_UNPACKED_BYTES = 2**28
_SHOWN = 50
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

_FORMULA = rb"<(?:\w+:)?f\b[^>]*(?:/>|>([^<]*)</[^>]*>)"
_ERROR = re.compile(rb'<(?:\w+:)?c\b([^>]*\bt="e"[^>]*)>(?:%s)?<(?:\w+:)?v>([^<]*)<' % _FORMULA)
_UNCALCULATED = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)>%s(?:<(?:\w+:)?v\s*/>|<v></v>)?</(?:\w+:)?c>" % _FORMULA
)
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')


@dataclass(frozen=True)
class Workbook:
    """An open workbook: as its reader knows it, and the archive that it is."""

    book: Any
    archive: zipfile.ZipFile

    @property
    def sheet_names(self) -> list[str]:
        """Of the sheets of cells that can be seen."""
        return [
            sheet.name for sheet in self.book.sheets_metadata
            if str(sheet.typ).endswith(".WorkSheet") and str(sheet.visible).endswith(".Visible")
        ]  # fmt: skip

    @cached_property
    def is_from_1904(self) -> bool:
        """Whether it counts days from 1904, as old Macs did."""
        settings = self._xml("xl/workbook.xml").find("{*}workbookPr")
        return settings is not None and settings.get("date1904") in ("1", "true")

    def rows(self, sheet: str | None) -> Iterator[list[Cell]]:
        """The rows with content of a sheet; default the first that can be seen.

        Raises:
            FileRefused: there is no such sheet.
        """
        name = sheet or next(iter(self.sheet_names), "")
        if name not in self.book.sheet_names:
            raise FileRefused(
                "missing_sheet", f"the workbook has no sheet {name!r}",
                f"it has {', '.join(map(repr, self.book.sheet_names[:_SHOWN]))}; see excel.sheet",
            )  # fmt: skip
        texts = _unread_cells(self.archive.read(self._member_of(name)))
        found = self.book.get_sheet_by_name(name)
        first_column = found.start[1] if found.start else 0
        rows = _with_texts(found.iter_rows(), texts, first_column)
        return _with_merged(rows, found.merged_cell_ranges or (), first_column)

    def _member_of(self, sheet: str) -> str:
        """Where in the archive a sheet lies."""
        links = {
            link.get("Id"): link.get("Target", "")
            for link in self._xml("xl/_rels/workbook.xml.rels")
        }
        sheets = self._xml("xl/workbook.xml").iterfind("{*}sheets/{*}sheet")
        link = next(one.get(_LINK) for one in sheets if one.get("name") == sheet)
        return posixpath.join("/xl", links[link])[1:]

    def _xml(self, member: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.archive.read(member))  # noqa: S314 - expat has limits


@contextmanager
def opened_workbook(stream: io.BufferedReader) -> Iterator[Workbook]:
    """A workbook of moderate size.

    Raises:
        FileRefused: it is none, too large or damaged; or its reader is not installed.
    """
    require_start(stream, zips.MAGIC, _NAME)
    require_seekable(stream, _NAME)
    with refusing_damage("damaged_workbook", "the workbook"), zipfile.ZipFile(stream) as archive:
        _require_moderate_size(archive)
        stream.seek(0)
        yield Workbook(_calamine().CalamineWorkbook.from_filelike(stream), archive)


def _require_moderate_size(archive: zipfile.ZipFile) -> None:
    size_bytes = sum(member.file_size for member in archive.infolist())
    if size_bytes > _MAX_UNPACKED_BYTES:
        raise FileRefused(
            "workbook_too_large",
            f"the workbook unpacks to {size_bytes} bytes; allowed: {_MAX_UNPACKED_BYTES}",
            'save the sheet as CSV, for a source with format = "csv"',
        )


def _calamine() -> Any:
    try:
        import python_calamine  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FileRefused(
            "missing_extra", "what reads Excel workbooks is not installed",
            "pip install 'ingestd[excel]', and drop the file again",
        ) from error  # fmt: skip
    return python_calamine


Texts = Mapping[int, Mapping[int, str]]
"""Row, from 0 → column, from 0 → what is to be read there."""


def _unread_cells(xml: bytes) -> Texts:
    """What the reader takes for empty cells: errors, and formulas without a result."""
    texts: dict[int, dict[int, str]] = {}
    errors = _ERROR.finditer(xml) if b't="e"' in xml else ()
    for found in errors:
        _add_text(texts, found[1], found[3])
    for found in _UNCALCULATED.finditer(xml) if b"f>" in xml or b"<f " in xml else ():
        _add_text(texts, found[1], b"=" + (found[2] or b""))
    return texts


def _add_text(texts: dict[int, dict[int, str]], attributes: bytes, text: bytes) -> None:
    if place := _PLACE.search(attributes):
        column = 0
        for letter in place[1]:
            column = column * 26 + letter - ord("A") + 1
        texts.setdefault(int(place[2]) - 1, {})[column - 1] = unescape(text.decode())


def _with_texts(
    rows: Iterable[list[Cell]], texts: Texts, first_column: int
) -> Iterator[list[Cell]]:
    for number, row in enumerate(rows):
        for column, text in texts.get(number, {}).items():
            if 0 <= (place := column - first_column) < len(row):
                row[place] = text
        yield row


Range: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Row and column, from 0, of the first and the last cell."""


def _with_merged(
    rows: Iterable[list[Cell]], merged: Iterable[Range], first_column: int
) -> Iterator[list[Cell]]:
    """The rows with content; a cell merged with those below it stands in their rows, too."""
    below: dict[int, list[tuple[int, int]]] = {}
    for (first, column), (last, _) in merged:
        if last > first:
            below.setdefault(first, []).append((column - first_column, last))
    standing: dict[int, tuple[int, Cell]] = {}
    for number, row in enumerate(rows):
        has_content = any(cell != "" for cell in row)
        for place, (last, cell) in standing.items():
            if number <= last:
                row[place] = cell
        standing |= {place: (last, row[place]) for place, last in below.get(number, ())}
        if has_content:
            yield row
