"""Which JSON becomes nested values of a document, and what is told of the rest."""

import json
from typing import Any

import bson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.config.source import ColumnSpec
from ingestd.documents import Part, Run, encode
from ingestd.elements import UnencodableRows
from ingestd.records import ROW
from ingestd.validate import TYPES
from ingestd.validate.json_texts import is_storable_json, json_mistake, read_json
from ingestd.validate.unread import explain_unread

JSON = ColumnSpec(type="json")


def encoded(text: str) -> Any:
    """What the document holds."""
    frame = pl.DataFrame({"c": [text], ROW: [0]}, {"c": pl.String, ROW: pl.UInt32})
    done = encode(frame, {"c": JSON}, [Part(Run("00" * 8, "s", 0), 1, 0)])
    return bson.decode(done.octets.to_pybytes())["c"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value at character 1"),
        ("{a: 1}", "Expecting property name enclosed in double quotes at character 2"),
        ("1 2", "Extra data at character 3"),
        ("[NaN]", "NaN is no JSON value"),
        ("-Infinity", "-Infinity is no JSON value"),
        ("[1e400]", "a number in it is larger than any float64"),
        ("[-1E+999]", "a number in it is larger than any float64"),
        ("1" + "0" * 400 + ".5", "a number in it is larger than any float64"),
        ('{"n": 9223372036854775808}', "a whole number in it has more than 64 bits"),
        ("[-9223372036854775809]", "a whole number in it has more than 64 bits"),
        ('{"$set": 1}', "MongoDB takes the name '$set' for an operator"),
        ('{"a": [{"b" :1, "\\u0024c": 1}]}', "MongoDB takes the name '$c' for an operator"),
        ('{"a\\u0000": 1}', "the name 'a\\x00' contains NUL"),
        ("[" * 100 + "]" * 100, "MongoDB stores no more than 100 levels of nesting"),
        ('{"a":' * 100 + "1" + "}" * 100, "MongoDB stores no more than 100 levels of nesting"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_refused_json_has_its_reason(text: str, reason: str) -> None:
    assert is_storable_json(pl.Series([text])).to_list() == [False]
    (message,) = explain_unread(pl.Series([text]), JSON, TYPES["json"])
    assert message.endswith(f" is not JSON to be stored: {reason}")


@pytest.mark.parametrize(
    "text",
    [
        '{"a.b": {"": [1.5, -0.0, 1e308, 9223372036854775807]}}',
        '["$set", "$", {"a$": "$b, $c"}]',
        '{"a": "\\u0000", "b": "1e999", "c": "12345678901234567890"}',
        '"text"', "null", " 7 ", "true", "[]", "{}",
        '{"a":' * 99 + "1" + "}" * 99,
    ],
)  # fmt: skip
def test_json_is_stored_as_it_is(text: str) -> None:
    assert is_storable_json(pl.Series([text])).to_list() == [True]
    assert encoded(text) == json.loads(text)


def test_a_name_that_stands_twice_is_refused() -> None:
    text = '[{"a": {"b": 1, "c": 2, "b": 3}}]'
    with pytest.raises(UnencodableRows) as caught:
        encoded(text)
    reason = "no BSON value: the name 'b' stands more than once in an object"
    assert caught.value.rows == {0: ("c", reason)}
    assert json_mistake(text) == "the name 'b' stands more than once in an object"


NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.just(10**400)
NAMES = st.text('a$.\0"\\é', max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)


@given(VALUES, st.booleans())
def test_the_quick_look_agrees_with_the_exact_one(value: object, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    is_storable = is_storable_json(pl.Series([text])).item()
    assert is_storable == (not json_mistake(text))
    if is_storable:
        assert encoded(text) == read_json(text) == value
