"""Rules, checks and repeats: who is refused, with which reasons, and what cannot be asked."""

import re
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import reasons_by_row

from ingestd.config.source import SourceSpec
from ingestd.errors import ConfigError
from ingestd.records import ROW, Violation
from ingestd.validate import RULES, compile_validator, typed_values, unique_columns

TYPES = {"n": "int64", "f": "float64", "s": "string", "d": "date", "b": "bool", "j": "json"}


def source_of(schema: dict[str, Any] | None = None, **more: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {"name": "orders", "file_pattern": "orders/*.csv", "schema": schema or TYPES} | more
    )


def frame_of(source: SourceSpec, *rows: dict[str, str | None]) -> pl.DataFrame:
    columns = {name: [row.get(name) for row in rows] for name in source.columns}
    schema = {**dict.fromkeys(source.columns, pl.String()), ROW: pl.UInt32()}
    return pl.DataFrame(columns | {ROW: range(len(rows))}, schema)


def broken(column: str, rules: dict[str, Any], text: str | None) -> list[str]:
    """The messages about one value under some rules."""
    source = source_of(validation_rules={column: rules})
    checked = compile_validator(source).check(frame_of(source, {column: text}))
    violations = reasons_by_row(checked.rejected).get(0, ())
    assert all((v.column, v.value) == (column, text) for v in violations)
    assert checked.good.height == (0 if violations else 1)
    return [violation.message for violation in violations]


def mistakes(**more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compile_validator(source_of(**more))
    return [
        f"{p.key}: {p.message}{f' ({p.hint})' if p.hint else ''}" for p in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("column", "rules", "text", "message"),
    [
        ("n", {"not_null": True}, None, "a value is required"),
        ("n", {"min": 0}, "-5", "-5 is below min 0"),
        ("n", {"max": 9}, "10", "10 is above max 9"),
        ("f", {"exclusive_min": 0}, "0", "0 is not above 0"),
        ("f", {"exclusive_max": 1.5}, "1.5", "1.5 is not below 1.5"),
        ("d", {"min": "2024-01-01"}, "2023-12-31", "2023-12-31 is below min 2024-01-01"),
        ("d", {"max": date(2024, 1, 1)}, "2024-01-02", "2024-01-02 is above max 2024-01-01"),
        ("s", {"one_of": ["a", "b"]}, "c", "'c' is not one of a, b"),
        ("n", {"one_of": [1, 2]}, "3", "3 is not one of 1, 2"),
        ("d", {"not_one_of": ["1900-01-01"]}, "1900-01-01", "1900-01-01 is one of 1900-01-01"),
        ("s", {"matches": "^[A-Z]+$"}, "Ab", "'Ab' does not match ^[A-Z]+$"),
        ("s", {"min_length": 2}, "é", "'é' is shorter than 2 characters"),
        ("s", {"max_length": 2}, "abc", "'abc' is longer than 2 characters"),
    ],
)
def test_broken_rule_says_value_and_limit(
    column: str, rules: dict[str, Any], text: str | None, message: str
) -> None:
    assert broken(column, rules, text) == [message]


@pytest.mark.parametrize(
    ("column", "rules", "text"),
    [
        ("n", {"not_null": True}, "0"),
        ("n", {"min": 0, "max": 0}, "0"),
        ("f", {"exclusive_min": 0, "exclusive_max": 1}, "0.5"),
        ("s", {"one_of": ["a"]}, "a"),
        ("s", {"not_one_of": ["a"]}, "A"),
        ("s", {"matches": "b"}, "abc"),
        ("s", {"min_length": 2, "max_length": 2}, "éé"),
    ],
)
def test_kept_rule_lets_the_row_pass(column: str, rules: dict[str, Any], text: str) -> None:
    assert broken(column, rules, text) == []


@pytest.mark.parametrize(
    ("column", "rules"),
    [
        ("n", {"min": 1, "max": 2, "exclusive_min": 0, "exclusive_max": 3, "one_of": [1]}),
        ("s", {"one_of": ["a"], "not_one_of": ["b"], "matches": "x", "min_length": 1}),
    ],
)
def test_null_passes_every_rule_but_not_null(column: str, rules: dict[str, Any]) -> None:
    assert broken(column, rules, None) == []


@given(st.lists(st.integers(-20, 20) | st.none()), st.integers(-20, 20), st.integers(-20, 20))
def test_range_agrees_with_python(values: list[int | None], low: int, high: int) -> None:
    source = source_of({"n": "int32"}, validation_rules={"n": {"min": low, "exclusive_max": high}})
    rows = [{"n": None if value is None else str(value)} for value in values]
    checked = compile_validator(source).check(frame_of(source, *rows))
    expected = [i for i, v in enumerate(values) if v is None or low <= v < high]
    assert checked.good[ROW].to_list() == expected


@given(st.text("ab\n", max_size=4), st.sampled_from(["a", "^a", "a$", "^(ab)+$", "a.b", "[^a]"]))
def test_matches_agrees_with_re_search(text: str, pattern: str) -> None:
    # Rust's $ is Python's \Z
    expected = re.search(pattern.replace("$", r"\Z"), text)
    assert bool(broken("s", {"matches": pattern}, text)) == (expected is None)


def test_a_column_has_its_own_ways_to_say_no_value() -> None:
    source = source_of({"n": {"type": "int64", "null_values": ["NA", "-"]}, "s": "string"})
    rows = [{"n": "NA", "s": "NA"}, {"n": "-", "s": "-"}, {"n": "5"}, {"n": "na"}]
    checked = compile_validator(source).check(frame_of(source, *rows))
    assert checked.good["n"].to_list() == [None, None, 5]
    assert checked.good["s"].to_list() == ["NA", "-", None]
    assert list(reasons_by_row(checked.rejected)) == [3]


def test_what_a_column_takes_for_no_value_is_missing_and_never_repeats() -> None:
    spec = {"n": {"type": "string", "null_values": ["NA"]}}
    source = source_of(spec, validation_rules={"n": {"not_null": True}})
    frame = frame_of(source, {"n": "NA"})
    (reasons,) = reasons_by_row(compile_validator(source).check(frame).rejected).values()
    assert [reason.rule for reason in reasons] == ["not_null"]
    assert typed_values(source, frame, ("n",))["n"].to_list() == [None]


def test_row_keeps_all_its_violations_in_column_order() -> None:
    source = source_of(
        validation_rules={
            "s": {"max_length": 1, "matches": "x"}, "n": {"not_null": True}, "f": {"min": 0},
        },
        checks=[{"name": "never", "expression": "s = 'x'", "message": "s has to be x"}],
    )  # fmt: skip
    row = {"n": "1.5", "f": "-1", "s": "abc", "d": "soon"}
    rejected = compile_validator(source).check(frame_of(source, row)).rejected
    assert reasons_by_row(rejected) == {
        0: (
            Violation("n", "type", "1.5", "'1.5' is not an int64"),
            Violation("f", "min", "-1", "-1 is below min 0"),
            Violation("s", "matches", "abc", "'abc' does not match x"),
            Violation("s", "max_length", "abc", "'abc' is longer than 1 characters"),
            Violation("d", "type", "soon", "'soon' is not a date"),
            Violation(None, "check:never", None, "s has to be x"),
        )
    }


def test_bad_rows_do_not_change_the_order_of_the_good() -> None:
    source = source_of({"n": "int64"})
    rows = [{"n": str(i) if i % 3 else "x"} for i in range(1000)]
    checked = compile_validator(source).check(frame_of(source, *rows))
    good = [i for i in range(1000) if i % 3]
    assert checked.good[ROW].to_list() == checked.good["n"].to_list() == good
    assert checked.rejected[ROW].to_list() == [i for i in range(1000) if not i % 3]


def test_blanks_around_a_number_come_with_advice() -> None:
    assert broken("n", {}, " 1") == [
        "' 1' is not an int64; it has blanks around it, which csv.trim = true removes"
    ]


def test_long_value_is_cut() -> None:
    source = source_of({"n": "int64"})
    checked = compile_validator(source).check(frame_of(source, {"n": "x" * 999}))
    (violation,) = reasons_by_row(checked.rejected)[0]
    assert violation.value == "x" * 200
    assert violation.message == f"'{'x' * 200}…' is not an int64"


def test_check_that_is_null_passes() -> None:
    source = source_of(checks=[{"name": "positive", "expression": "n > 0"}])
    frame = frame_of(source, {"n": "1"}, {"n": None}, {"n": "0"})
    checked = compile_validator(source).check(frame)
    assert checked.good[ROW].to_list() == [0, 1]
    assert reasons_by_row(checked.rejected)[2] == (
        Violation(None, "check:positive", None, "n > 0 is false"),
    )


def test_check_is_silent_about_a_value_that_did_not_parse() -> None:
    source = source_of(checks=[{"name": "n_given", "expression": "n IS NOT NULL"}])
    rejected = compile_validator(source).check(frame_of(source, {"n": "x"}, {"n": None})).rejected
    assert {row: [v.rule for v in found] for row, found in reasons_by_row(rejected).items()} == {
        0: ["type"], 1: ["check:n_given"],
    }  # fmt: skip


def test_check_that_fails_on_one_row_refuses_that_row_only() -> None:
    expression = "DATE(s, '%Y-%m-%d') > DATE '2020-01-01'"
    source = source_of(checks=[{"name": "recent", "expression": expression}])
    rows = [{"s": "2024-01-02"} for _ in range(100)] + [{"s": "bad"}, {"s": "2019-01-01"}]
    checked = compile_validator(source).check(frame_of(source, *rows))
    assert checked.good.height == 100
    reasons = reasons_by_row(checked.rejected)
    assert "conversion from `str` to `date` failed" in reasons[100][0].message
    assert reasons[101][0].message == f"{expression} is false"


def test_repeats_are_refused_where_the_caller_found_them() -> None:
    source = source_of(validation_rules={"n": {"unique": True}, "s": {"unique": True}})
    assert unique_columns(source) == ("n", "s")
    frame = frame_of(source, {"n": "1", "s": "a"}, {"n": "01", "s": "a"})
    assert typed_values(source, frame, ("n",)).rows() == [(1, 0), (1, 1)]
    checked = compile_validator(source).check(frame, {"n": frozenset({1}), "s": frozenset({1})})
    assert checked.good[ROW].to_list() == [0]
    assert reasons_by_row(checked.rejected)[1] == (
        Violation("n", "unique", "01", "'01' stands in an earlier row of the file already"),
        Violation("s", "unique", "a", "'a' stands in an earlier row of the file already"),
    )


def test_empty_frame_gives_an_empty_frame() -> None:
    source = source_of(checks=[{"name": "c", "expression": "n > 0"}])
    checked = compile_validator(source).check(frame_of(source))
    assert (checked.good.height, checked.rejected.height) == (0, 0)


def test_every_rule_of_the_registry_is_a_setting() -> None:
    from ingestd.config.source import RuleSpec

    assert RULES.keys() | {"unique"} == RuleSpec.model_fields.keys()


@pytest.mark.parametrize(
    ("column", "rules", "mistake"),
    [
        ("n", {"min": "x"}, "n.min: 'x' is not an int64, the type of n"),
        ("n", {"max": 0.5}, "n.max: 0.5 is not an int64, the type of n"),
        ("n", {"one_of": [1, "2x"]}, "n.one_of: '2x' is not an int64, the type of n"),
        ("d", {"min": "tomorrow"}, "d.min: 'tomorrow' is not a date, the type of d"),
        ("d", {"min": 2024}, "d.min: 2024 is not a date, the type of d"),
        ("s", {"one_of": [1]}, "s.one_of: 1 is not a string, the type of s"),
        ("s", {"min": 1}, "s.min: min has no meaning for a string"),
        ("n", {"matches": "1"}, "n.matches: matches has no meaning for an int64"),
        ("j", {"max_length": 1}, "j.max_length: max_length has no meaning for JSON"),
        (
            "s",
            {"matches": "("},
            "s.matches: '(' is not a regular expression: unclosed group "
            "(the dialect is Rust's: no look-around, no back-references)",
        ),
        ("country", {"min": 1}, "country: is not a column of the schema"),
    ],
)
def test_rule_that_makes_no_sense_is_a_mistake(
    column: str, rules: dict[str, Any], mistake: str
) -> None:
    assert mistakes(validation_rules={column: rules}) == [f"validation_rules.{mistake}"]


@pytest.mark.parametrize(
    ("spec", "mistake"),
    [
        (
            {"type": "date", "format": "%d %z"},
            "format: %d %z cannot read back what it writes",
        ),
        ({"type": "datetime", "format": "%Y %f"}, "format: %f must follow a dot: .%f"),
        (
            {"type": "datetime", "format": "%Y-%m-%d %Z"},
            "format: %Z: names of time zones are ambiguous; use %z, or set timezone",
        ),
        ({"type": "int64", "format": "%Y"}, "format: format has no meaning for int64"),
        ({"type": "decimal", "precision": 2, "scale": 3}, "scale: 3 is more than precision 2"),
        ({"type": "bool", "false_values": ["Y"]}, "true_values: y is also in false_values"),
    ],
)
def test_column_that_contradicts_itself_is_a_mistake(spec: Any, mistake: str) -> None:
    assert mistakes(schema={"c": spec}) == [f"schema.c.{mistake}"]


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes(
        validation_rules={"n": {"min": "x", "max": "y"}, "z": {}},
        checks=[{"name": "c", "expression": "m > 1"}],
    )
    assert len(found) == 4


def test_limit_may_be_a_toml_datetime() -> None:
    source = source_of({"t": "datetime"}, validation_rules={"t": {"min": datetime(2024, 1, 1, 12)}})
    frame = frame_of(source, {"t": "2024-01-01T11:59:59"}, {"t": "2024-01-01T12:00:00"})
    assert compile_validator(source).check(frame).good[ROW].to_list() == [1]
