"""Numbers in the habits of people and offices: what they stand for, and what stands for none."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.records import ROW
from ingestd.validate import compile_validator

EURO = {"decimal": ",", "thousands": ".", "currency": "€"}
CENTS = {"type": "decimal", "scale": 2}


def check(spec: dict[str, Any], *texts: str, **csv: Any) -> Any:
    source = {"name": "s", "file_pattern": "s/*.csv", "schema": {"c": spec}, "csv": csv}
    frame = pl.DataFrame({"c": texts, ROW: range(len(texts))}, {"c": pl.String, ROW: pl.UInt32})
    return compile_validator(SourceSpec.model_validate(source)).check(frame)


def read(spec: dict[str, Any], *texts: str, **csv: Any) -> list[Any]:
    """The values; None where a text is no number."""
    good = check(spec, *texts, **csv).good
    values = dict(zip(good[ROW], good["c"], strict=True))
    return [values.get(row) for row in range(len(texts))]


def told(spec: dict[str, Any], text: str, **csv: Any) -> str:
    message: str = check(spec, text, **csv).rejected["message"].item()
    return message


@pytest.mark.parametrize("type_", ["int64", "float64", "decimal"])
@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        ({"thousands": ","}, "1,234,567", 1_234_567),
        ({"thousands": ","}, "-12,345", -12_345),
        ({"thousands": ","}, "1234", 1234),
        ({"thousands": "'"}, "1'234\u2019567", 1_234_567),
        ({"thousands": " "}, "1 234\u00a0567\u202f890", 1_234_567_890),
        ({"thousands": "\u00a0"}, "1 234", 1234),
        ({"currency": "€"}, "€ 5", 5),
        ({"currency": "€"}, "-€5", -5),
        ({"currency": "€"}, "€-5", -5),
        ({"currency": "€"}, "5\u00a0€", 5),
        ({"currency": "€"}, "5", 5),
        ({"currency": ["$", "US$"]}, "US$ 5", 5),
        ({"currency": ["EUR", "kr."]}, "5 kr.", 5),
        ({"accounting": True}, "(5)", -5),
        ({"accounting": True}, "( 5 )", -5),
        ({"accounting": True}, "5-", -5),
        ({"accounting": True}, "5 -", -5),
        ({"accounting": True}, "- 5", -5),
        ({"accounting": True}, "+5", 5),
        ({"accounting": True, "currency": "$", "thousands": ","}, "$(1,234)", -1234),
        ({"accounting": True, "currency": "$", "thousands": ","}, "($1,234)", -1234),
        ({"accounting": True, "currency": "$", "thousands": ","}, "1,234 $-", -1234),
    ],
)
def test_declared_habit_is_read(type_: str, options: dict[str, Any], text: str, value: int) -> None:
    assert read({"type": type_} | options, text) == [value]


@pytest.mark.parametrize("type_", ["int64", "float64", "decimal"])
@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({}, ("1,234", "1 234", "1'234", "€5", "5 €", "(5)", "5-", "- 5", "5%", "1_000", "0x1F")),
        ({"thousands": ","}, ("12,34", "1,2345", "0,123", ",123", "123,", "1,,234", "1 234")),
        ({"thousands": ","}, ("1234,567", "1,234 567", "1,234e3", "01,234", "--1,234")),
        ({"thousands": " "}, (" 1 234", "1 234 ", "1  234", "12 34", "1,234")),
        ({"currency": "€"}, ("€", "€5€", "€ € 5", "$5", "5 EUR", "--€5", "5€5", "-€-5")),
        ({"currency": "$"}, ("5.$", "US$5", "$", "\\5")),
        ({"accounting": True}, ("(5", "5)", "(-5)", "-(5)", "(5-)", "-5-", "()", "-", "((5))")),
        ({"accounting": True, "currency": "$"}, ("$(5", "$($5)", "(5)-", "$")),
    ],
)
def test_undeclared_or_misplaced_habit_is_refused(
    type_: str, options: dict[str, Any], texts: tuple[str, ...]
) -> None:
    texts = tuple(text for text in texts if text != "5.$" or type_ == "int64")
    assert read({"type": type_} | options, *texts) == [None] * len(texts)


@pytest.mark.parametrize("type_", ["float64", "decimal"])
def test_fractions_have_a_comma_where_declared(type_: str) -> None:
    texts = ("1.234.567,5 €", "-0,5", "12", "1,234.5", "1.234,567.8", "1.5", "1,5,5", "12.34")
    values = read({"type": type_} | EURO, *texts)
    assert values == [Decimal("1234567.5"), Decimal("-0.5"), 12] + [None] * 5


def test_whole_numbers_have_no_fraction_whatever_stands_in_groups() -> None:
    texts = ("1.234", "1.234.5", "1.234,5", "1.234.0", "1.234.567")
    values = read({"type": "int64", "thousands": "."}, *texts)
    assert values == [1234, None, None, None, 1_234_567]


def test_a_column_says_more_than_the_file() -> None:
    csv = {"decimal": ",", "thousands": ".", "delimiter": ";"}
    assert read({"type": "float64"}, "1.234,5", **csv) == [1234.5]
    assert read({"type": "int32"}, "1.234", **csv) == [1234]
    point = {"type": "float64", "decimal": ".", "thousands": ""}
    assert read(point, "1234.5", "1.234,5", **csv) == [1234.5, None]


@pytest.mark.parametrize("type_", ["float64", "decimal"])
def test_percent_is_a_hundredth_and_exact(type_: str) -> None:
    texts = ("12.5 %", "-5%", "+.5%", "100%", "0.1\u00a0%", "7.%", "1,234%")
    values = read({"type": type_, "percent": True, "thousands": ","}, *texts)
    expected = ["0.125", "-0.05", "0.005", "1", "0.001", "0.07", "12.34"]
    assert [str(Decimal(str(value)).normalize()) for value in values] == [
        str(Decimal(text).normalize()) for text in expected
    ]


@pytest.mark.parametrize("type_", ["float64", "decimal"])
def test_percent_without_its_sign_or_number_is_refused(type_: str) -> None:
    texts = ("12.5", "%", ".%", "5%%", "%5", "5  %", "1e1%", "5%5", "-%")
    assert read({"type": type_, "percent": True}, *texts) == [None] * len(texts)


@pytest.mark.parametrize("mark", [" ", "\u00a0", "\u202f"])
def test_a_blank_before_the_percent_sign_is_no_mark_of_groups(mark: str) -> None:
    texts = ("12,5 %", f"1{mark}234,5{mark}%", "3%", "12  %", "1 2 %")
    spec = {"type": "float64", "percent": True, "decimal": ",", "thousands": mark}
    assert read(spec, *texts) == [0.125, 12.345, 0.03, None, None]


def test_digits_of_a_percent_beyond_the_scale_are_refused() -> None:
    spec = {"type": "decimal", "scale": 3, "percent": True}
    assert read(spec, "12.5%", "12.50%", "12.55%") == [Decimal("0.125"), Decimal("0.125"), None]


@given(st.decimals(-(10**12), 10**12, allow_nan=False, places=3), st.sampled_from(",' "))
def test_grouped_numbers_agree_with_python(number: Decimal, mark: str) -> None:
    text = f"{number:,.3f}".replace(",", mark)
    spec = {"type": "decimal", "scale": 3, "thousands": mark}
    assert read(spec, text) == [number]
    assert read(spec | {"type": "float64"}, text) == [float(number)]
    swapped = f"{number:,.3f}".translate({ord(","): ".", ord("."): ","})
    assert read({"type": "decimal", "scale": 3} | EURO, swapped) == [number]


@given(st.floats(-1e15, 1e15))
def test_percent_of_a_float_is_the_nearest_float(number: float) -> None:
    text = f"{Decimal(number):f}"
    assert read({"type": "float64", "percent": True}, text + "%") == [
        float(Decimal(text).scaleb(-2))
    ]


@given(st.text("0123456789,.-+()€% e", max_size=12))
def test_nothing_but_a_number_is_taken_for_one(text: str) -> None:
    """Whatever is read has the digits of its text, in their order."""
    spec = {"type": "decimal", "accounting": True, "currency": "€", "thousands": ","}
    (value,) = read(spec, text)
    if value is not None:
        digits = "".join(char for char in text if char.isdigit() or char == ".")
        assert abs(value) == Decimal(digits)
        assert (value < 0) == (("-" in text or "(" in text) and value != 0)


@pytest.mark.parametrize(
    ("spec", "text", "hint"),
    [
        ("float64", "1,5", 'did you mean decimal = ","?'),
        ("float64", "1,234", 'did you mean decimal = "," or thousands = ","?'),
        ("float64", "1,234,567.5", 'did you mean thousands = ","?'),
        ("float64", "1.234.567,5", 'did you mean decimal = "," and thousands = "."?'),
        ("int64", "1.234.567", 'did you mean thousands = "."?'),
        ("int64", "1'234", 'did you mean thousands = "\'"?'),
        ("decimal", "12.5%", "did you mean percent = true?"),
        ({"type": "decimal", "percent": True}, "12.5", "percent = true asks for the sign %"),
        ("int64", "(5)", "did you mean accounting = true?"),
        ("int64", "$5", 'does the column need currency = "…"?'),
        ("decimal", "5.00 EUR", 'does the column need currency = "…"?'),
        ("int64", "\u22125", "a digit or sign in it only looks like 0 to 9, + or -"),
        ("float64", "\uff11\uff12", "a digit or sign in it only looks like 0 to 9, + or -"),
        ("int64", "\u0661", "a digit or sign in it only looks like 0 to 9, + or -"),
        ("int64", "42.0", "a float64 reads it, which the step cast makes an int64"),
        ("int64", "1.23E+15", "a spreadsheet may have cut its digits off"),
        ("int8", "128", "allowed: -128 to 127"),
        ("uint32", "-1", "allowed: 0 to 4294967295"),
        ("decimal", "1.23E+15", "no exponent: a spreadsheet may have cut its digits off"),
        ("decimal", "1.2345678", "allowed: 34 digits in all, 6 after the point"),
        (
            CENTS,
            "1.234",
            "allowed: 34 digits in all, 2 after the point; or did you mean "
            'decimal = "," and thousands = "."?',
        ),
        (CENTS, "0.125", "allowed: 34 digits in all, 2 after the point"),
        (
            CENTS | {"decimal": ","},
            "1,234",
            'allowed: 34 digits in all, 2 after the point; or did you mean thousands = ","?',
        ),
        (CENTS, "1.234,5", 'did you mean decimal = "," and thousands = "."?'),
        (CENTS, "1,234", 'did you mean thousands = ","?'),
        ("float32", "3.5e38", "no finite float32 is as large"),
        ("float64", "-inf", "no finite float64 is as large"),
        ("float64", "NaN", "if that means no value, name it in csv.null_values"),
    ],
)
def test_refusal_comes_with_a_hint(spec: Any, text: str, hint: str) -> None:
    message = told(spec if isinstance(spec, dict) else {"type": spec}, text)
    assert message.endswith(f"; {hint}"), message
    assert message.startswith(f"{text!r} is not a")


def test_message_shows_how_numbers_are_written_here() -> None:
    assert told({"type": "decimal"} | EURO, "x") == "'x' is not a decimal(34, 6) like 1.234,5 €"
    assert told({"type": "int32", "accounting": True}, "x") == "'x' is not an int32 like (1234)"


def test_limits_in_rules_are_written_plainly() -> None:
    source = {
        "name": "s", "file_pattern": "s/*.csv", "schema": {"c": {"type": "decimal"} | EURO},
        "validation_rules": {"c": {"min": 1000.5, "one_of": [1234.5, "2000.0"]}},
    }  # fmt: skip
    frame = pl.DataFrame(
        {"c": ["1.234,5", "999", "2.000"], ROW: [0, 1, 2]}, {"c": pl.String, ROW: pl.UInt32}
    )
    checked = compile_validator(SourceSpec.model_validate(source)).check(frame)
    assert checked.good[ROW].to_list() == [0, 2]


@pytest.mark.parametrize("currency", ["", "5", " €", "e-", "(", [], ["€", "%"], "nine chars"])
def test_what_is_no_currency_is_a_mistake(currency: Any) -> None:
    with pytest.raises(ValueError, match="currency"):
        ColumnSpec.model_validate({"type": "float64", "currency": currency})
