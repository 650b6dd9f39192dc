"""Excel workbooks as offices keep them: what a person sees in a cell is what is stored."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from inferred import documents_of, inferred_from, rejections_of
from workbooks import (
    DATE,
    DATETIME,
    PERCENT,
    TIME,
    error,
    number,
    sheet,
    text,
    uncalculated,
    workbook_of,
)  # fmt: skip

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused

HEADER = (text("id"), text("key"))


def source(key: Any, **excel: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "books", "file_pattern": "*.xlsx", "format": "excel", "excel": excel,
            "schema": {"id": "string", "key": key},
        }
    )  # fmt: skip


class Book:
    """A workbook on disk, and what becomes of its rows."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        path.write_bytes(content)

    def keys(self, key: Any = "string", **excel: Any) -> list[Any]:
        return [row["key"] for row in documents_of(self.path, source(key, **excel))]

    def refused(self, key: Any) -> list[str]:
        errors = rejections_of(self.path, source(key))
        return [violation["value"] for error in errors for violation in error["violations"]]


@pytest.fixture
def book(tmp_path: Path) -> Any:
    def write(*cells: str, is_from_1904: bool = False, merged: str = "") -> Book:
        rows: Sequence[Sequence[str]] = [(number(n), cell) for n, cell in enumerate(cells, 1)]
        content = sheet(HEADER, *rows, merged=merged)
        return Book(tmp_path / "a.xlsx", workbook_of({"S": content}, is_from_1904=is_from_1904))

    return write


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_whole_numbers_have_no_point(book: Any) -> None:
    cells = book(number("1234.0"), number("1234"), number("1.5"), number("123456789012345"))
    assert cells.keys() == ["1234", "1234", "1.5", "123456789012345"]
    assert [row["id"] for row in documents_of(cells.path, source("string"))] == list("1234")


def test_a_number_has_the_digits_that_excel_shows(book: Any) -> None:
    price = {"type": "decimal", "scale": 2}
    assert book(number("19.989999999999998")).keys(price) == [Decimal128("19.99")]


@pytest.mark.parametrize(
    ("serial", "is_from_1904", "day"),
    [
        ("45413", False, at(2024, 5, 1)),
        ("61", False, at(1900, 3, 1)),
        ("59", False, at(1900, 2, 28)),
        ("1", False, at(1900, 1, 1)),
        ("2958465", False, at(9999, 12, 31)),
        ("43951", True, at(2024, 5, 1)),
        ("0", True, at(1904, 1, 1)),
        ("60", True, at(1904, 3, 1)),
        ("2957003", True, at(9999, 12, 31)),
    ],
)
def test_a_number_in_a_column_of_dates_counts_days(
    book: Any, serial: str, is_from_1904: bool, day: datetime
) -> None:
    cells = book(number(serial), is_from_1904=is_from_1904)
    assert cells.keys("date") == cells.keys("datetime") == [day]


@pytest.mark.parametrize("serial", ["60", "0", "-1", "2958466", "45413.5"])
def test_a_number_that_is_no_day_is_refused(book: Any, serial: str) -> None:
    assert len(book(number(serial)).refused("date")) == 1


def test_a_part_of_a_day_is_a_time(book: Any) -> None:
    assert book(number("45413.520833333336")).keys("datetime") == [at(2024, 5, 1, 12, 30)]
    assert book(number("0.75"), number("0.75", TIME)).keys("time") == ["18:00:00", "18:00:00"]
    assert book(number("1.5")).refused("time") == ["1.5"]


def test_a_column_of_digits_is_no_count_of_days(book: Any) -> None:
    assert book(number("20240501")).keys({"type": "date", "format": "%Y%m%d"}) == [at(2024, 5, 1)]


def test_moments_are_in_no_doubt_whatever_format_texts_have(book: Any) -> None:
    cells = book(number("45413", DATE), text("1.5.2024"), number("45413"))
    assert cells.keys({"type": "date", "format": "%d.%m.%Y"}) == [at(2024, 5, 1)] * 3
    assert book(number("45413.5", DATETIME)).keys("datetime") == [at(2024, 5, 1, 12)]


def test_formulas_are_their_results(book: Any) -> None:
    assert book(number("3", formula="1+2"), number("4", formula="A1&amp;B1")).keys() == ["3", "4"]


def test_a_formula_that_nobody_calculated_is_no_empty_cell(book: Any) -> None:
    assert book(uncalculated('A2&"<"')).keys() == ['=A2&"<"']
    assert book(uncalculated("A2+1")).refused("float64") == ["=A2+1"]


def test_errors_are_no_empty_cells(book: Any) -> None:
    cells = book(error("#N/A"), error("#DIV/0!", "1/0"), number("5"), text(None))
    assert cells.refused("float64") == ["#N/A", "#DIV/0!"]
    no_value = {"type": "float64", "null_values": ["#N/A", "#DIV/0!"]}
    assert cells.keys(no_value) == [None, None, 5.0, None]


def test_percent_is_the_number_behind_it(book: Any) -> None:
    assert book(number("0.125", PERCENT)).keys("float64") == [0.125]


def test_a_merged_cell_counts_for_each_of_its_rows(book: Any) -> None:
    cells = book(text("a"), text(None), text(None), text("b"), text(None), merged="B2:B4")
    assert cells.keys() == ["a", "a", "a", "b", None]


def test_the_first_sheet_that_can_be_seen_is_read(tmp_path: Path) -> None:
    sheets = {name: sheet(HEADER, (number("1"), text(name))) for name in ("Old", "May", "June")}
    book = Book(tmp_path / "a.xlsx", workbook_of(sheets, hidden=["Old"]))
    assert book.keys() == ["May"]
    assert book.keys(sheet="June") == ["June"]
    assert book.keys(sheet="Old") == ["Old"]
    with pytest.raises(FileRefused, match="no sheet 'July'"):
        book.keys(sheet="July")


def test_what_stands_above_the_names_is_left_out(tmp_path: Path) -> None:
    rows = [(text("Report"),), (), (text("of"), text("May")), HEADER, (number("1"), text("x"))]
    book = Book(tmp_path / "a.xlsx", workbook_of({"S": sheet(*rows)}))
    assert book.keys(skip_lines=2) == ["x"]


def test_sheet_and_names_are_found_when_a_source_is_inferred(tmp_path: Path) -> None:
    rows = [(text("Report"),), HEADER, *((number(n), number(45413 + n, DATE)) for n in range(9))]
    sheets = {"Empty": sheet(), "Notes": sheet((text("see May"),)), "May": sheet(*rows)}
    book = Book(tmp_path / "a.xlsx", workbook_of(sheets))
    inferred = inferred_from(book.path)
    assert (inferred.source.excel.sheet, inferred.source.excel.skip_lines) == ("May", 1)
    types = {name: column.type for name, column in inferred.source.columns.items()}
    assert types == {"id": "int64", "key": "date"}
    assert rejections_of(book.path, inferred.source) == []
    with pytest.raises(FileRefused, match="no sheet 'June'"):
        inferred_from(book.path, sheet="June")
    with pytest.raises(FileRefused, match="no sheet of the workbook has two rows"):
        inferred_from(Book(tmp_path / "b.xlsx", workbook_of({"A": sheet()})).path)


def test_columns_of_one_name_or_none_are_inferred_under_names_of_their_own(tmp_path: Path) -> None:
    header = tuple(map(text, ("id", "id", None, "v.1", "_extra")))
    rows = [[number(str(n + place)) for place in range(5)] for n in (1, 9)]
    book = Book(tmp_path / "a.xlsx", workbook_of({"S": sheet(header, *rows)}))
    inferred = inferred_from(book.path)
    names = ["id", "id_2", "column_3", "v_1", "extra_in_file"]
    assert [*inferred.source.columns] == names
    documents = documents_of(book.path, inferred.source)
    assert [[row[name] for name in names] for row in documents] == [
        [1, 2, 3, 4, 5], [9, 10, 11, 12, 13],
    ]  # fmt: skip


def test_cells_without_values_are_told_as_such_when_a_source_is_inferred(book: Any) -> None:
    cells = book(number("1.5"), error("#N/A"), text(None), number("2"))
    inferred = inferred_from(cells.path)
    assert inferred.source.columns["key"].null_values == ("#N/A",)
    assert rejections_of(cells.path, inferred.source) == []
