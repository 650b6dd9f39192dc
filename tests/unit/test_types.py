"""What the texts of a file become, type by type, and what is refused."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import reasons_by_row

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.records import ROW
from ingestd.validate import TYPES, compile_validator, dtypes_of


def source_of(spec: Any, **more: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {"name": "s", "file_pattern": "s/*.csv", "schema": {"c": spec}} | more
    )


def read(spec: Any, *texts: str | None, **more: Any) -> list[Any]:
    """The values of the good rows in their place; the string "refused" for the others."""
    frame = pl.DataFrame({"c": texts, ROW: range(len(texts))}, {"c": pl.String, ROW: pl.UInt32})
    checked = compile_validator(source_of(spec, **more)).check(frame)
    values = dict(zip(checked.good[ROW], checked.good["c"], strict=True))
    rejected = reasons_by_row(checked.rejected)
    assert values.keys() | rejected.keys() == set(range(len(texts)))
    for violations in rejected.values():
        assert [violation.rule for violation in violations] == ["type"]
    return [values.get(row, "refused") for row in range(len(texts))]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


GOOD: list[tuple[Any, str, Any]] = [
    ("string", "", ""),
    ("string", " a\n\0 ", " a\n\0 "),
    ("category", "x", "x"),
    ("bool", "true", True),
    ("bool", "YES", True),
    ("bool", "0", False),
    ("bool", "fAlSe", False),
    ({"type": "bool", "true_values": ["Ja"], "false_values": ["Nein"]}, "JA", True),
    ({"type": "bool", "true_values": ["sì"], "false_values": ["no"]}, "SÌ", True),
    ({"type": "bool", "true_values": ["zutreffend"], "false_values": ["nicht"]}, "NICHT", False),
    ({"type": "bool", "true_values": ["zutreffend"], "false_values": ["x"]}, "Zutreffend", True),
    ("int8", "-128", -128),
    ("int8", "127", 127),
    ("int16", "-32768", -32768),
    ("int32", "2147483647", 2**31 - 1),
    ("int64", "-9223372036854775808", -(2**63)),
    ("int64", "9223372036854775807", 2**63 - 1),
    ("int64", "+1", 1),
    ("int64", "007", 7),
    ("int64", "-0", 0),
    ("uint8", "255", 255),
    ("uint16", "65535", 65535),
    ("uint32", "4294967295", 2**32 - 1),
    ("float64", "1.5", 1.5),
    ("float64", "-.5e-3", -0.0005),
    ("float64", "1.7976931348623157e308", 1.7976931348623157e308),
    ("float64", "1e-400", 0.0),
    ("float32", "16777216", 16777216.0),
    ({"type": "decimal", "precision": 10, "scale": 2}, "12345678.90", Decimal("12345678.90")),
    ({"type": "decimal", "precision": 10, "scale": 2}, "1.500", Decimal("1.50")),
    ({"type": "decimal", "precision": 10, "scale": 2}, "-.5", Decimal("-0.50")),
    ({"type": "decimal", "precision": 34, "scale": 0}, "9" * 34, Decimal("9" * 34)),
    ("date", "2024-02-29", date(2024, 2, 29)),
    ("date", "0001-01-01", date.min),
    ("date", "9999-12-31", date.max),
    ({"type": "date", "format": "%d/%m/%Y"}, "31/01/2024", date(2024, 1, 31)),
    ("datetime", "2024-01-31T12:34:56", utc(2024, 1, 31, 12, 34, 56)),
    ("datetime", "2024-01-31 12:34", utc(2024, 1, 31, 12, 34)),
    ("datetime", "2024-01-31", utc(2024, 1, 31)),
    ("datetime", "2024-01-31T12:34:56Z", utc(2024, 1, 31, 12, 34, 56)),
    ("datetime", "2024-01-31T12:34:56.789+02:00", utc(2024, 1, 31, 10, 34, 56, 789_000)),
    ("datetime", "2024-01-31 12:34:56,7899-0530", utc(2024, 1, 31, 18, 4, 56, 789_000)),
    ("datetime", "2024-01-31T12:34:56+02", utc(2024, 1, 31, 10, 34, 56)),
    ("datetime", "2016-12-31T23:59:60Z", utc(2017, 1, 1)),
    ("datetime", "0001-01-01T00:00:00", utc(1, 1, 1)),
    ("datetime", "9999-12-31T23:59:59.999", utc(9999, 12, 31, 23, 59, 59, 999_000)),
    (
        {"type": "datetime", "timezone": "Europe/Berlin"},
        "2024-07-01T12:00:00",
        utc(2024, 7, 1, 10),
    ),
    (
        {"type": "datetime", "timezone": "Europe/Berlin"},
        "2024-07-01T12:00:00Z",
        utc(2024, 7, 1, 12),
    ),
    (
        {"type": "datetime", "format": "%d.%m.%Y %H:%M:%S.%f"},
        "31.01.2024 12:34:56.5",
        utc(2024, 1, 31, 12, 34, 56, 500_000),
    ),
    (
        {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z", "timezone": "Europe/Berlin"},
        "2024-01-31T12:34:56-0100",
        utc(2024, 1, 31, 13, 34, 56),
    ),
    (
        {"type": "datetime", "format": "%Y-%m-%d %H:%M:%S%z"},
        "2024-01-31 12:34:56+02:00",
        utc(2024, 1, 31, 10, 34, 56),
    ),
    (
        {"type": "datetime", "format": "%Y-%m-%d %H:%M%z"},
        "2024-01-31 12:34Z",
        utc(2024, 1, 31, 12, 34),
    ),
    ({"type": "datetime", "format": "%s"}, "1700000000", utc(2023, 11, 14, 22, 13, 20)),
    ("time", "12:34", time(12, 34)),
    ("time", "23:59:59.999999", time(23, 59, 59, 999_999)),
    ({"type": "time", "format": "%I:%M %p"}, "01:30 PM", time(13, 30)),
    ("duration", "PT1H2M", timedelta(hours=1, minutes=2)),
    ("duration", "-P1DT0.5S", -timedelta(days=1, milliseconds=500)),
    ("duration", "P2W", timedelta(weeks=2)),
    ("duration", "100:02:03.25", timedelta(hours=100, minutes=2, seconds=3.25)),
    ("duration", "-00:30", -timedelta(minutes=30)),
    ("json", '{"a": [1, null, "é"]}', '{"a": [1, null, "é"]}'),
    ("json", " null ", " null "),
    ("json", "9223372036854775807", "9223372036854775807"),
    ("json", '"1234567890123456789012345"', '"1234567890123456789012345"'),
    ("json", "[" * 99 + "]" * 99, "[" * 99 + "]" * 99),
    ({"type": "binary", "encoding": "hex"}, "00fF", b"\0\xff"),
    ("binary", "AP8=", b"\0\xff"),
    ("objectid", "65a1b2c3d4e5f60718293a4b", bytes.fromhex("65a1b2c3d4e5f60718293a4b")),
]

BAD: list[tuple[Any, str]] = [
    *[("bool", text) for text in ("", "maybe", " true", "2")],
    *[
        ("int64", text)
        for text in (
            "", " 1", "1 ", "42.0", "1e5", "1_000", "1,000", "0x1", "--1", "+", "abc", "1\0",
            "\u0661", "9223372036854775808", "-9223372036854775809",
        )
    ],
    ("int8", "128"), ("int16", "32768"), ("int32", "2147483648"),
    ("uint8", "-1"), ("uint8", "256"), ("uint16", "65536"), ("uint32", "4294967296"),
    *[
        ("float64", text)
        for text in ("", "nan", "NaN", "inf", "-Infinity", "1e400", "1,5", " 1", "0x1p3", "1_0")
    ],
    ("float32", "3.5e38"),
    *[
        ({"type": "decimal", "precision": 10, "scale": 2}, text)
        for text in ("", ".", "-", "1.234", "1e3", "nan", "123456789", " 1", "1_0")
    ],
    *[
        ("date", text)
        for text in (
            "", "2024-02-30", "2024-1-2", "20240102", "0000-01-01", "10000-01-01", "-001-01-01",
            "2024-01-02T00:00:00", " 2024-01-02", "01/02/2024", "\u0662\u0660\u0662\u0664-01-02",
        )
    ],
    *[
        ("datetime", text)
        for text in (
            "", "2024-02-30T00:00:00", "2024-01-02T24:00:00", "2024-01-02T3:04:05", "now",
            "2024-01-02T03:04:05 Z", "2024-01-02T03:04:05+25", "2024-01-02T03:04:05.",
            "+2024-1-02T03:04:05", "0000-01-01T00:00:00", "9999-12-31T23:59:59-05:00",
            "0001-01-01T00:00:00+05:00", "1700000000",
        )
    ],
    ({"type": "datetime", "timezone": "Europe/Berlin"}, "2024-03-31T02:30:00"),
    *[("time", text) for text in ("", "24:00", "1:2:3", "12:34:56Z", "12:60", "23:59:60")],
    *[
        ("duration", text)
        for text in ("", "P", "PT", "P1DT", "P1M", "P1Y", "1h", "01:60", "PT1.5H", "1:2", "T1H")
    ],
    *[
        ("json", text)
        for text in (
            "", "{a: 1}", "[1,]", "NaN", "1 2", "'x'", "nul", '"\\ud800"', '{"a\\u0000b": 1}',
            "9223372036854775808", "[" * 100 + "]" * 100, "[" * 100_000,
        )
    ],
    *[({"type": "binary", "encoding": "hex"}, text) for text in ("0", "zz", "0x00")],
    *[("binary", text) for text in ("AA", "A A=", "ä")],
    *[("objectid", text) for text in ("", "65a1", "z" * 24, "65a1b2c3d4e5f60718293a4b00")],
]  # fmt: skip


@pytest.mark.parametrize(("spec", "text", "value"), GOOD)
def test_text_of_the_type_is_read(spec: Any, text: str, value: object) -> None:
    assert read(spec, text, None) == [value, None]


@pytest.mark.parametrize(("spec", "text"), BAD)
def test_text_that_is_not_of_the_type_is_refused(spec: Any, text: str) -> None:
    assert read(spec, text, None) == ["refused", None]


@pytest.mark.parametrize("name", TYPES)
def test_column_has_the_declared_dtype(name: str) -> None:
    source = source_of({"type": name, "precision": 12, "scale": 3})
    frame = pl.DataFrame({"c": [None], ROW: [0]}, {"c": pl.String, ROW: pl.UInt32})
    good = compile_validator(source).check(frame).good
    assert good.schema == {**dtypes_of(source.columns), ROW: pl.UInt32}


@pytest.mark.parametrize("spec", ["float64", {"type": "decimal", "precision": 9, "scale": 2}])
def test_decimal_comma_excludes_the_point(spec: Any) -> None:
    texts = ("1,5", "1.5", "1.234,5", "7")
    values = read(spec, *texts, csv={"decimal": ",", "delimiter": ";"})
    assert [v if v == "refused" else float(v) for v in values] == [1.5, "refused", "refused", 7]


def test_datetimes_do_not_depend_on_the_values_before_them() -> None:
    """The fast way for the first value's shape and the general way agree."""
    texts = [text for spec, text, _ in GOOD if spec == "datetime"]
    texts += [text for spec, text in BAD if spec == "datetime"]
    alone = [read("datetime", text)[0] for text in texts]
    for first in texts:
        assert read("datetime", first, *texts)[1:] == alone


@given(st.lists(st.text("0123456789+-._eE ", max_size=22) | st.integers().map(str)))
def test_int64_is_what_int_reads_without_its_liberties(texts: list[str]) -> None:
    for text, value in zip(texts, read("int64", *texts), strict=True):
        try:
            expected: object = int(text)
        except ValueError:
            expected = "refused"
        if set(text) & {"_", " "} or (isinstance(expected, int) and not in_int64(expected)):
            expected = "refused"
        assert value == expected


def in_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_reads_back_what_repr_writes(value: float) -> None:
    assert read("float64", repr(value)) == [value]


@given(st.text("0123456789+-.", max_size=14))
def test_decimal_is_exact_or_refused(text: str) -> None:
    (value,) = read({"type": "decimal", "precision": 9, "scale": 3}, text)
    try:
        expected = Decimal(text)
    except InvalidOperation:
        assert value == "refused"
        return
    fits = expected == expected.quantize(Decimal("0.001")) and abs(expected) < 10**6
    assert value == (expected if fits else "refused")


@given(st.datetimes(), st.sampled_from("T "), st.sampled_from(["", "Z", "+02:00", "-11:30"]))
def test_datetime_agrees_with_fromisoformat(moment: datetime, between: str, offset: str) -> None:
    text = moment.isoformat(between) + offset
    expected = datetime.fromisoformat(text if offset else text + "Z")
    expected = expected.replace(microsecond=expected.microsecond // 1000 * 1000)
    try:
        in_utc: object = expected.astimezone(UTC)
    except OverflowError:
        in_utc = "refused"
    assert read("datetime", text, "2024-01-02T03:04:05")[0] == in_utc


@given(st.dates())
def test_date_agrees_with_isoformat(day: date) -> None:
    assert read("date", day.isoformat()) == [day]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)))
def test_formatted_datetime_agrees_with_strptime(moment: datetime) -> None:
    format_ = "%d.%m.%y %H:%M:%S"
    text = moment.strftime(format_)
    expected = datetime.strptime(text, format_).replace(tzinfo=UTC)
    assert read({"type": "datetime", "format": format_}, text) == [expected]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé."), inner),
)  # fmt: skip


@settings(max_examples=50)
@given(JSON)
def test_whatever_json_writes_is_json(value: object) -> None:
    text = json.dumps(value)
    assert read("json", text) == [text]


@given(st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=12))
def test_what_is_taken_for_json_can_be_parsed(text: str) -> None:
    assert read("json", text) != [text] or is_json(text)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_the_default_precision_fits_decimal128() -> None:
    assert ColumnSpec(type="decimal").precision == 34
