"""Rows as CSV (RFC 4180, but for LF at line ends): a header, nulls empty, empty texts quoted.

A spreadsheet takes a cell for a formula that begins with one of a few characters, whoever wrote
it. Unless formulas are to be kept, an apostrophe before it makes it the text that it is (OWASP,
"CSV Injection"). What is no text is left alone: signed numbers and durations, base64.
"""

import codecs
import csv
import io
from typing import Any

import polars as pl

from ingestd.config.source import ColumnTypeName
from ingestd.export.json_text import Document, row_shape, to_json
from ingestd.export.plan import Assembler, Plan
from ingestd.export.texts import as_texts

_FORMULA = r"^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""The last four are the full-width forms of the first."""
_TEXTS = frozenset[ColumnTypeName](("string", "category", "json"))
"""Types whose values may say anything."""


class CsvWriter:
    """See ``Writer``."""

    def __init__(self, plan: Plan) -> None:
        self._columns = plan.all_columns
        self._shape = row_shape(plan.columns, has_run=True)
        self._guarded = [] if plan.keeps_formulas else [
            name for name, column in self._columns.items() if column.type in _TEXTS
        ]  # fmt: skip

    def from_frame(self, frame: pl.DataFrame) -> bytes:
        """Numbers are written so that they read back the same."""
        return self._write(as_texts(frame, self._columns))

    def from_documents(self, documents: list[Document]) -> bytes:
        """Nested values are JSON."""
        rows = [self._shape(document) for document in documents]
        return self._write(
            pl.DataFrame(
                {
                    name: [_cell(row[name], column.type) for row in rows]
                    for name, column in self._columns.items()
                },
                schema=dict.fromkeys(self._columns, pl.String),
            )
        )

    def _write(self, frame: pl.DataFrame) -> bytes:
        lines = io.BytesIO()
        self._harmless(frame).write_csv(lines, include_header=False)
        return lines.getvalue()

    def _harmless(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.col(self._guarded).str.replace(_FORMULA, "'$0"))


def _cell(value: Any, type_: str) -> str | None:
    """As JSON shows it. Quotes stay in columns of JSON alone, where ``"1"`` is not ``1``."""
    is_bare = type_ != "json"
    if value is None or (is_bare and isinstance(value, str)):
        return value
    text = to_json(value).decode()
    return text[1:-1] if is_bare and text.startswith('"') else text


class CsvAssembler(Assembler):
    """With the names of the columns above, and with the count below if that is asked for."""

    def begin(self) -> bytes:
        """The header."""
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(self._plan.all_columns)
        return codecs.BOM_UTF8 * self._plan.has_bom + line.getvalue().encode()

    def end(self, row_count: int) -> bytes:
        """A record that says what it is in its first field."""
        return b"#rows,%d\n" % row_count if self._plan.has_trailer else b""
