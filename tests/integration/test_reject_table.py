"""Refused rows against those in DuckDB's table of rejects: another reader, written by others."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refine_world import documents_of, errors_of, laid_out, rules_of

from ingestd.config.source import SourceSpec
from ingestd.formats.limits import Limits

Refused = dict[int, frozenset[str]]
"""By row: why; for wrong values, the columns."""

COLUMNS = {"number": "BIGINT", "text": "VARCHAR", "day": "DATE", "share": "DOUBLE"}
SOURCE_TYPES = {"number": "int64", "text": "string", "day": "date", "share": "float64"}
KINDS = {
    "MISSING COLUMNS": "too_few_fields",
    "TOO MANY COLUMNS": "too_many_fields",
    "UNQUOTED VALUE": "stray_quote",
    "INVALID ENCODING": "encoding",
}
FIELDS = {
    "number": ["0", "-17", str(2**63 - 1), str(-(2**63)), str(2**63), "x", "1x", "1-2", "²"],
    "text": ["plain", "", "é😀", "two\nlines", 'say "a"', " a ", "NULL", "bad\udcff"],
    "day": ["2024-02-29", "2023-02-29", "2024-13-01", "1969-12-31", "soon", "2024-01-0x"],
    "share": ["0.5", "-1e3", "1e400x", "a", "7", "0.1.2"],
}


@st.composite
def records(draw: st.DrawFn, delimiter: str, quote: str) -> str:
    """A line, most often with as many fields as there are columns."""
    fields = [draw(st.sampled_from(["", *kinds])) for kinds in FIELDS.values()]
    width = draw(st.sampled_from([4, 4, 4, 4, 3, 2, 5, 6]))
    fields = [*fields, "more", "still more"][:width]
    stream = io.StringIO(newline="")
    is_minimal = draw(st.booleans()) and "two\nlines" not in fields  # not quoted by the writer
    quoting = csv.QUOTE_MINIMAL if is_minimal else csv.QUOTE_ALL
    csv.writer(
        stream, delimiter=delimiter, quotechar=quote, lineterminator="", quoting=quoting
    ).writerow(fields)
    line = stream.getvalue()
    if draw(st.integers(0, 9)) == 0:  # text behind the closing quote
        return f"1{delimiter}{quote}a{quote}b{delimiter * 2}"
    return line if line.strip(delimiter) else "1" + line


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, str, str]:
    delimiter, quote = draw(st.sampled_from([",", ";", "|", "\t"])), draw(st.sampled_from("\"'"))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = draw(st.lists(records(delimiter, quote), min_size=1, max_size=12))
    text = end.join([delimiter.join(COLUMNS), *lines, ""])
    return text.encode(errors="surrogateescape"), delimiter, quote


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=files(), chunk_bytes=st.sampled_from([1, 30, 2**20]))
def test_the_same_rows_are_refused_for_the_same_reasons(
    file: tuple[bytes, str, str], chunk_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "cells.csv"
    octets, delimiter, quote = file
    dialect = {"delimiter": delimiter, "quote": quote, "null_values": [""]}
    source = SourceSpec.model_validate(
        {"name": "cells", "file_pattern": "*.csv", "schema": SOURCE_TYPES, "csv": dialect}
    )
    chunks = laid_out(path, octets, source, Limits(chunk_bytes)).refined()
    found = {row: frozenset(_reasons(error)) for row, error in errors_of(chunks).items()}
    expected, accepted = _refused_by_duckdb(path, delimiter, quote)
    assert {
        row: _agreed(found.get(row, frozenset()), reasons) for row, reasons in expected.items()
    } == found
    assert len(documents_of(chunks)) == accepted


def _reasons(error: dict[str, object]) -> Iterator[str]:
    for rule, violation in zip(rules_of(error), error["violations"], strict=True):
        yield str(violation["column"]) if rule == "type" else rule


def _refused_by_duckdb(path: Path, delimiter: str, quote: str) -> tuple[Refused, int]:
    with duckdb.connect() as connection:
        rows = connection.read_csv(
            str(path), columns=COLUMNS, header=True, delimiter=delimiter, quotechar=quote,
            escapechar=quote, auto_detect=False, store_rejects=True, rejects_limit=0,
        ).fetchall()  # fmt: skip
        rejects = connection.execute(
            "SELECT line - 1, error_type, column_idx FROM reject_errors ORDER BY ALL"
        ).fetchall()
    refused: dict[int, set[str]] = {}
    for row, kind, column in rejects:
        refused.setdefault(row, set()).add(_reason(kind, column))
    return {row: frozenset(reasons) for row, reasons in refused.items()}, len(rows)


def _reason(kind: str, column: int) -> str:
    return list(COLUMNS)[column - 1] if kind == "CAST" else KINDS[kind]


def _agreed(found: frozenset[str], expected: frozenset[str]) -> frozenset[str]:
    """A record that cannot be read has no values to judge, and one reason is enough."""
    unreadable = expected & {*KINDS.values()}
    return (found & unreadable or unreadable) if unreadable else expected
