"""The small parts of the configuration that touch no file."""

import copy
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestd.config.checks import check_source
from ingestd.config.checks.among import _covers, _cut, _reaches_into, check_sources
from ingestd.config.checks.draft import Draft
from ingestd.config.checks.names import final_columns
from ingestd.config.checks.regex import unsupported_syntax
from ingestd.config.environment import Override, merge, read_environment
from ingestd.config.naming import choice, counted, dotted, nearest, shown
from ingestd.config.quantities import parse_duration, parse_size
from ingestd.config.salvage import salvage
from ingestd.config.settings import LoadSettings, MongoSettings, Settings
from ingestd.config.source import ColumnSpec, RuleSpec, SourceSpec


def source(**extra: object) -> SourceSpec:
    columns = {"id": "int64", "country": "string"}
    return SourceSpec.model_validate(
        {"name": "orders", "file_pattern": "orders/*.csv", "schema": columns, **extra}
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("1h30m", 5400), (" 2 d ", 172800), ("1.5m", 90), ("1w", 604800)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"), [("64MiB", 2**26), ("2GB", 2 * 10**9), ("1kB", 1000), ("1.5KiB", 1536)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "s", "5 5s", "-5s", "5s!", "1e3s", "five"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"5m|unknown unit"):
        parse_duration(text)


def test_numbers_in_text_are_seconds_and_bytes() -> None:
    assert MongoSettings(timeout="2.5").timeout == 2.5  # type: ignore[arg-type]
    assert LoadSettings(memory="8388608").memory == 8388608  # type: ignore[arg-type]


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m"]))
def test_a_duration_of_two_parts_is_their_sum(number: int, unit: str) -> None:
    whole = parse_duration(f"{number}{unit}1s")
    part = parse_duration(f"{number}{unit}")
    assert isinstance(whole, float)
    assert isinstance(part, float)
    assert whole == pytest.approx(part + 1)


def test_keys_are_told_as_toml_writes_them() -> None:
    assert dotted(("validation_rules", "net amount", "min")) == 'validation_rules."net amount".min'
    assert dotted(("checks", 0, "name")) == "checks[0].name"
    assert dotted(("schema", "")) == 'schema.""'


def test_values_are_shown_short_and_without_passwords() -> None:
    assert shown("mongodb://me:hunter2@host/db") == '"mongodb://…@host/db"'
    assert shown({"a": 1}) == "a table"
    assert len(shown("x" * 1000)) == 60
    assert shown("a\nb") == '"a\\nb"'
    assert shown([date(2024, 1, 1), "http://u:p@h"]) == '["2024-01-01", "http://…@h"]'


def test_one_is_not_counted_as_many() -> None:
    counts = [counted(count, "row") for count in (0, 1, 2000)]
    assert counts == ["0 rows", "1 row", "2,000 rows"]


def test_the_nearest_name_is_offered_only_when_it_is_near() -> None:
    assert nearest("Amuont", ["amount", "id"]) == 'did you mean "amount"?'
    assert nearest("zzz", ["amount", "id"]) == ""
    assert choice(5, ["a", "b c"]) == 'allowed: a, "b c"'


def test_a_column_may_be_written_short_or_in_pandas_words() -> None:
    columns = {"a": "Int64", "b": {"type": "datetime64[ns]"}, "c": ColumnSpec(type="bool")}
    read = source(schema=columns).columns
    assert [column.type for column in read.values()] == ["int64", "datetime", "bool"]


@pytest.mark.parametrize(
    "limit",
    [True, 1, 1.5, "2024-01-01", date(2024, 1, 1), datetime(2024, 1, 1, 10), time(10)],
)
def test_limits_keep_the_type_they_have_in_toml(limit: object) -> None:
    read = RuleSpec.model_validate({"min": limit, "one_of": [limit]})
    assert (type(read.min), read.min) == (type(limit), limit)
    assert read.one_of == (limit,)


def test_encodings_have_one_name() -> None:
    for name in ("UTF8", "utf_8", "utf-8"):
        assert source(csv={"encoding": name}).csv.encoding == "utf-8"


def test_settings_and_sources_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().api.port = 1
    with pytest.raises(ValidationError):
        source().name = "other"


def test_the_hash_of_a_source_changes_with_its_rules_but_not_with_its_place() -> None:
    moved = source(file_pattern="elsewhere/*.csv", done_marker=".done", overdue_after="1d")
    stricter = source(validation_rules={"id": {"not_null": True}})
    assert moved.config_hash == source().config_hash
    assert stricter.config_hash != source().config_hash


@pytest.mark.parametrize(
    "pattern",
    ["^[A-Z]{2}$", r"\p{L}+", "(?i)abc", r"a(?:b|c)", r"\(?=", "[(?=]+", r"\\1", "a++", "(?P<x>a)"],
)
def test_patterns_that_rust_may_read_are_not_refused(pattern: str) -> None:
    assert unsupported_syntax(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P=x)", "(?>a)", "(a", "a)", "[a", "*a",
     "a{3,2}", "a\\", "(?(1)a|b)"],
)  # fmt: skip
def test_patterns_that_cannot_work_are_refused(pattern: str) -> None:
    assert unsupported_syntax(pattern)


@given(st.text(max_size=20))
def test_no_pattern_breaks_the_check(pattern: str) -> None:
    assert isinstance(unsupported_syntax(pattern), str)


@pytest.mark.parametrize(
    ("pattern", "other", "is_covered"),
    [
        ("in/*.csv", "in/*.csv", True),
        ("in/*.csv", "in/a*.csv", True),
        ("in/a*.csv", "in/*.csv", False),
        ("**/*.csv", "a/b/*.csv", True),
        ("**/*.csv", "*.csv", True),
        ("*/*.csv", "a/b/*.csv", False),
        ("in/*.csv", "in/*.CSV", False),
        ("in/**", "in/a/b.csv", True),
    ],
)
def test_a_pattern_covers_another(pattern: str, other: str, is_covered: bool) -> None:
    assert _covers(_cut(pattern), _cut(other)) is is_covered


def test_a_pattern_of_many_wildcards_is_compared_at_once() -> None:
    assert not _covers(("**", "a") * 100, ("a",) * 200 + ("b",))


@pytest.mark.parametrize(
    ("pattern", "directory", "is_reached"),
    [
        ("in/*.csv", "in", True),
        ("in/*.csv", "in/archive", False),
        ("in/*/*.csv", "in/archive", True),
        ("in/**/*.csv", "in/archive/deep", True),
        ("in/*.csv", "archive", False),
        ("in/orders/*.csv", "in", True),
    ],
)
def test_a_pattern_reaches_into_a_directory(pattern: str, directory: str, is_reached: bool) -> None:
    assert _reaches_into(_cut(pattern), _cut(directory)) is is_reached


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ([], ["id", "country"]),
        ([{"rename": {"id": "country", "country": "id"}}], ["country", "id"]),
        ([{"drop": "id"}, {"set": {"net": "1"}}], ["country", "net"]),
        ([{"select": ["country"]}, {"trim": ["country"]}], ["country"]),
        ([{"python": "a:b"}], None),
        ([{"python": "a:b"}, {"select": ["x"]}], ["x"]),
        ([{"split": {"country": ","}}], ["id", "country"]),
        ([{"rename": "nonsense"}], None),
        ([{"drop": [1]}], None),
    ],
)
def test_final_columns_follow_the_steps(
    steps: list[dict[str, object]], names: list[str] | None
) -> None:
    draft = Draft(Path("orders.toml"), source(transform=steps))
    found = final_columns(draft)
    assert (list(found) if found is not None else None) == names


def test_an_index_may_lie_on_a_field_inside_a_column() -> None:
    indexed = source(schema={"payload": "json"}, load={"indexes": [["payload.id"], ["_id"]]})
    assert list(check_source(Draft(Path("orders.toml"), indexed))) == []


def test_variables_are_merged_table_by_table() -> None:
    values = merge({"mongo": {"uri": "a", "database": "b"}, "api": 1}, {"mongo": {"uri": "c"}})
    assert values == {"mongo": {"uri": "c", "database": "b"}, "api": 1}


def test_only_our_variables_are_read() -> None:
    environ = {
        "HOME": "/",
        "INGESTD_TEST_X": "1",
        "INGESTD_API__PORT": "1",
        "ingestd_api__host": "",
    }
    assert list(read_environment(environ)) == [
        Override("environment", "INGESTD_API__PORT", {"api": {"port": "1"}})
    ]


GARBAGE = (
    None, True, -1, 0, 2**70, 1.5, float("inf"), float("nan"), "", "x", "\0", "*", "a.b", "$a",
    "_id", "__row__", "\ud800", "9" * 5000, "(" * 200, [], [[]], [1, "a"], {}, {"x": {}}, {"": ""},
    {"type": {}}, [{"rename": {"id": []}}], [{"drop": {}}], [{"select": [[]]}], [{}], date(1, 1, 1),
    datetime(9999, 12, 31, 23), time(),
)  # fmt: skip
DOCUMENT = {
    "name": "orders",
    "file_pattern": "orders/*.csv",
    "csv": {"delimiter": ";", "encoding": "utf-8", "header": False, "columns": ["id", "on"]},
    "schema": {"id": "int64", "on": {"type": "datetime", "format": "%Y", "timezone": "UTC"}},
    "validation_rules": {"id": {"min": 1, "one_of": [1]}, "on": {"max": "2024-01-01"}},
    "checks": [{"name": "a", "expression": "id > 0"}],
    "transform": [{"rename": {"id": "number"}}, {"set": {"net": "number"}}],
    "load": {"mode": "upsert", "key": ["number"], "indexes": [["on"]]},
    "errors": {"max_rate": 0.5, "retry_delay": "5m"},
}
PLACEHOLDERS = {"name": "unread", "file_pattern": "unread", "schema": {"unread": "string"}}


@st.composite
def broken_documents(draw: st.DrawFn) -> dict[str, Any]:
    """The document with a few of its values, at any depth, replaced or renamed."""
    document = copy.deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(1, 4))):
        node: Any = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and draw(st.booleans()):
                node = node[key]
                continue
            if isinstance(node, dict) and draw(st.booleans()):
                node[draw(st.sampled_from(["", "a.b", "_id", "x", "__row__"]))] = node.pop(key)
            else:
                node[key] = copy.deepcopy(draw(st.sampled_from(GARBAGE)))
            break
    return document


@given(broken_documents())
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_no_document_breaks_the_reading(document: dict[str, Any]) -> None:
    salvaged = salvage(SourceSpec, document, PLACEHOLDERS)
    assert salvaged.value is not None
    assert bool(salvaged.mistakes) == bool(salvaged.unread)
    draft = Draft(Path("orders.toml"), salvaged.value, salvaged.unread)
    for problem in (*check_source(draft), *check_sources([draft], Settings(), None)):
        assert str(problem)
