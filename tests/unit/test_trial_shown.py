"""Where the carets of ``ingestd try`` stand."""

import pytest

from ingestd.cli.carets import find_field, find_member, underlined


def drawn(raw: str, spans: list[tuple[int, int]], width: int = 40) -> list[str]:
    return [line.plain for line in underlined(raw, spans, width)]


@pytest.mark.parametrize(
    ("raw", "value", "place", "start"),
    [
        ("a,b,c", "b", 1, 2),
        ("1,1,1", "1", 2, 4),
        ('"x,1",1,2', "2", 2, 8),
        ("a,b", "B", 1, -1),
    ],
)
def test_a_value_is_found_in_its_own_field(raw: str, value: str, place: int, start: int) -> None:
    assert find_field(raw, value, place, ",") == start


def test_carets_are_as_wide_as_what_is_above_them() -> None:
    assert drawn("東京,-5", [(0, 2), (3, 5)]) == ["東京,-5", "^^^^ ^^"]


def test_what_is_not_plain_text_is_escaped_and_stillunderlined() -> None:
    assert drawn("a\tb\n,x", [(5, 6)]) == ["a\\tb\\n,x", "       ^"]


def test_a_long_record_is_shown_around_the_value() -> None:
    line, carets = drawn("a" * 100 + ",bad," + "c" * 100, [(101, 104)])
    assert line[carets.index("^") : carets.index("^") + 3] == "bad"
    assert len(line) <= 40


def test_without_a_place_there_are_no_carets() -> None:
    assert drawn("a,b", []) == ["a,b"]


@pytest.mark.parametrize(
    ("raw", "value", "start"),
    [
        ('{"a":-1.0,"b":-1}', "-1", 14),
        ('{"a": "b", "b" : "x y"}', "x y", 18),
        ('{"c":"\\u00e9","B":5}', "5", 18),
        ('{"b":1.50}', "1.5", 5),
        ('{"b":"\\u00e9"}', "é", -1),
        ('{"a":{"x":5}}', "5", -1),
    ],
)
def test_a_value_is_found_behind_its_key(raw: str, value: str, start: int) -> None:
    assert find_member(raw, value, ("b", "B")) == start
