"""Lines of JSON: whatever stands beside them, the same texts; and what is wrong with the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.config.source import SourceSpec
from ingestd.formats import ndjson
from ingestd.formats.limits import Limits
from ingestd.formats.text import Text
from ingestd.records import ROW, Chunk, FileStat, Position, Shape

COLUMNS = ("a", "b", "c")
ODD = '{"a": {"nested": 1.50}}'
"""Keeps Polars from reading the lines beside it."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | texts
objects = st.dictionaries(st.sampled_from([*COLUMNS, "d", 'e":', "é"]), values)
styles = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(", ", ": "), (",", ":"), (" ,", " :")]),
    }
)


def source(**types: str) -> SourceSpec:
    schema = {**dict.fromkeys(COLUMNS, "string"), **types}
    return SourceSpec.model_validate(
        {"name": "lines", "file_pattern": "*", "format": "ndjson", "schema": schema}
    )


def read(*lines: str | bytes, **types: str) -> Text:
    octets = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    end = Position(len(octets), len(lines), len(lines) - 1)
    chunk = Chunk(Path("a.ndjson"), FileStat(0, 0, 0, 0, 0), Position(), end, octets)
    return ndjson.read([chunk], Shape(COLUMNS), source(**types), Limits())


def cells(text: Text) -> list[tuple[str | None, ...]]:
    return text.frame.select(COLUMNS).rows()


@settings(deadline=None)
@given(rows=st.lists(objects, min_size=1), style=styles)
def test_a_line_reads_the_same_whatever_stands_beside_it(
    rows: list[dict[str, Any]], style: dict[str, Any]
) -> None:
    lines = [json.dumps(row, **style) for row in rows]
    text, beside_odd = read(*lines), read(*lines, ODD)
    assert text.faults == beside_odd.faults == {}
    assert cells(text) == cells(beside_odd)[:-1]
    assert text.frame[ROW].to_list() == list(range(len(rows)))


@settings(deadline=None)
@given(rows=st.lists(objects, min_size=1))
def test_values_mean_what_they_mean_to_python(rows: list[dict[str, Any]]) -> None:
    for row, found in zip(rows, cells(read(*map(json.dumps, rows))), strict=True):
        for name, text in zip(COLUMNS, found, strict=True):
            assert _is_same(row.get(name), text)


def _is_same(value: Any, text: str | None) -> bool:
    if value is None or isinstance(value, str):
        return text == value
    assert text is not None
    return float(text) == value if isinstance(value, float) else bool(json.loads(text) == value)


@given(
    lines=st.lists(st.text(st.sampled_from('{}[]":,ab01 .e-\\utrue'), min_size=1).map(str.strip))
)
@settings(deadline=None)
def test_whatever_stands_there_every_line_is_a_row_or_a_fault(lines: list[str]) -> None:
    lines = [ODD, *filter(None, lines)]
    text = read(*lines)
    assert text.frame.height + len(text.faults) == len(lines)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("-1.5e3", "-1500"),
        ("1E-7", "0.0000001"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.10000000000000000001", "0.10000000000000000001"),
        ("1.23456789012345678", "1.23456789012345678"),
        ("9007199254740993", "9007199254740993"),
        ("1e999999999", "1e999999999"),
        ('"1.50"', "1.50"),
        ('""', ""),
        ("true", "true"),
        ("null", None),
        ('"\\ud83d\\ude00"', "😀"),
        ('[1, {"x": 1.50}]', '[1,{"x":1.50}]'),
    ],
)
def test_a_value_becomes_the_text_that_types_are_read_from(written: str, text: str | None) -> None:
    line = f'{{"a": {written}}}'
    assert cells(read(line)) == [(text, None, None)]
    assert cells(read(ODD, line))[1] == (text, None, None)


def test_a_json_column_holds_the_value_itself() -> None:
    lines = ['{"a": "text"}', '{"a": 1.50}', '{"a": {"b": [null, "\\u00e9"]}}', '{"a": null}', "{}"]
    found = [row[0] for row in cells(read(*lines, a="json"))]
    assert found == ['"text"', "1.5", '{"b":[null,"é"]}', None, None]


@pytest.mark.parametrize(
    ("line", "rule", "words"),
    [
        ("5", "json", "not an object"),
        ("[1]", "json", "not an object"),
        ("null", "json", "not an object"),
        ('{"a": NaN}', "json", "NaN"),
        ('{"a": -Infinity}', "json", "Infinity"),
        ('{"a": 1', "json", "character"),
        ('{"a": 01}', "json", "character"),
        ('{"a": "b\tc"}', "json", "control character at character 9"),
        ('{"a": "b', "json", "starting at character 7"),
        ('{"a": 1} {"a": 2}', "json", "Extra data at character 10"),
        ('{"a": 1, "a": 2}', "duplicate_key", "'a'"),
        ('{"a": {"b": 1, "b": 1}}', "duplicate_key", "'b'"),
        ('{"\\u0061": 1, "a": 2}', "duplicate_key", "'a'"),
        ('{"a": "\\ud800"}', "encoding", "surrogate"),
        (b'{"a": "\xff"}', "encoding", "0xff"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "json", "nested too deeply"),
    ],
)
def test_a_bad_line_costs_itself(line: str | bytes, rule: str, words: str) -> None:
    text = read('{"a": "before"}', line, '{"a": "after"}')
    assert [row[0] for row in cells(text)] == ["before", "after"]
    (fault,) = text.faults.values()
    assert text.faults.keys() == {1}
    assert (fault.rule, words in fault.message) == (rule, True), fault.message
    records, raw = text.chunks[0].records, line.encode() if isinstance(line, str) else line
    assert (records.raw(1), records.lines(np.array([1])).tolist()) == (raw, [2])


def test_a_line_beyond_the_largest_record_costs_itself() -> None:
    octets = b'{"a": "1"}\n{"a": "' + b"x" * 100 + b'"}\n'
    chunk = Chunk(
        Path("a"), FileStat(0, 0, 0, 0, 0), Position(), Position(len(octets), 2, 2), octets
    )
    text = ndjson.read([chunk], Shape(COLUMNS), source(), Limits(max_record_bytes=64))
    assert [fault.rule for fault in text.faults.values()] == ["record_too_large"]
    assert cells(text) == [("1", None, None)]
