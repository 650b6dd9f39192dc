"""Text to values and back, as the API reads and shows them."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.api.filters import column_conditions
from ingestd.api.problems import RequestRefused
from ingestd.api.values import parse_moment, parse_value
from ingestd.config.source import ColumnSpec
from ingestd.export.json_text import iso_duration, iso_moment, to_json


def column(name: str) -> ColumnSpec:
    return ColumnSpec.model_validate(name)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_duration_reads_back_as_it_was_shown(milliseconds: int) -> None:
    assert parse_value(iso_duration(milliseconds), column("duration")) == milliseconds


@pytest.mark.parametrize("text", ["P999999999999D", "-P999999999999D"])
def test_a_duration_of_more_than_64_bits_is_no_value(text: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_value(text, column("duration"))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "PT0S"), (1, "PT0.001S"), (-1500, "-PT1.5S"), (60_000, "PT1M"), (3_600_000, "PT1H"),
        (86_400_000, "P1D"), (86_400_010, "P1DT0.01S"), (10_000, "PT10S"),
    ],
)  # fmt: skip
def test_durations_are_iso_8601(milliseconds: int, text: str) -> None:
    assert iso_duration(milliseconds) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_reads_back_to_the_millisecond(moment: datetime) -> None:
    text = iso_moment(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert timedelta(0) <= moment - parse_moment(text) < timedelta(milliseconds=1)


@given(st.sampled_from(["int64", "float64", "decimal", "datetime", "objectid", "time"]), st.text())
def test_any_text_is_a_value_or_a_bad_parameter(name: str, text: str) -> None:
    with suppress(RequestRefused):
        (condition,) = column_conditions([("c", text)], {"c": column(name)}, ())
        assert condition.keys() == {"c"}


@given(st.text(max_size=50))
def test_text_to_look_for_is_escaped(text: str) -> None:
    (condition,) = column_conditions([("c__contains", text)], {"c": column("string")}, ())
    assert re.fullmatch(condition["c"]["$regex"], text)


@given(st.from_regex(r"[\w$.\[\]]{0,12}(__[\w$]{0,8})?", fullmatch=True))
def test_a_condition_never_has_a_key_that_is_not_a_column(name: str) -> None:
    try:
        (condition,) = column_conditions([(name, "1")], {"c": column("string")}, ())
    except RequestRefused:
        return
    assert list(condition) == ["c"]


def test_numbers_that_json_lacks_become_null() -> None:
    value = {"a": float("nan"), "b": [float("inf"), {"c": -float("inf")}], "d": 1.5}
    assert to_json(value) == b'{"a":null,"b":[null,{"c":null}],"d":1.5}'
