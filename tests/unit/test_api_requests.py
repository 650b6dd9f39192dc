"""What a request asks for: its form, its cursor; and how a refusal reads."""

import base64
from datetime import UTC, datetime

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.api.cursors import Cursor, Key, Seal, read_cursor, write_cursor
from ingestd.api.formats import (
    ARROW,
    CSV,
    JSON,
    LISTS,
    NDJSON,
    PARQUET,
    ROWS,
    Format,
    choose_format,
)
from ingestd.api.health import Check, HealthReport
from ingestd.api.problems import RequestRefused, not_found, shown
from ingestd.visible import VisibleRuns

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)
OID = bson.ObjectId("0123456789abcdef00000001")
SEAL = Seal(b"secret", "scope")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON), ("*/*", JSON), ("application/*", JSON), ("APPLICATION/JSON", JSON),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", JSON), ("application/jsonl", NDJSON),
        ("application/json;q=0.1, application/x-ndjson", NDJSON),
        ("application/json;q=0, */*", NDJSON), ("application/x-ndjson;charset=utf-8", NDJSON),
    ],
)  # fmt: skip
def test_the_accept_header_chooses_the_form(accept: str, form: Format) -> None:
    assert choose_format(None, accept, LISTS) is form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/csv", CSV), ("text/*", CSV), ("application/vnd.apache.arrow.stream", ARROW),
        ("application/*;q=0.5, application/x-parquet", PARQUET), ("*/*", JSON),
    ],
)  # fmt: skip
def test_rows_come_in_more_forms(accept: str, form: Format) -> None:
    assert choose_format(None, accept, ROWS) is form


@pytest.mark.parametrize(
    "accept", ["text/csv", ",;q=,", "application/json;q=0, application/x-ndjson;q=0.0"]
)
def test_forms_that_are_refused_or_unknown_are_406(accept: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        choose_format(None, accept, LISTS)
    assert refused.value.problem.status == 406


def test_the_format_parameter_beats_the_header() -> None:
    assert choose_format("ndjson", "text/csv", LISTS) is NDJSON


IDENTITIES = st.just(OID) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text() | MOMENTS | st.just(OID)
KEYS = st.builds(Key, MOMENTS, IDENTITIES, st.lists(VALUES, max_size=2).map(tuple))


@given(KEYS, MOMENTS, st.frozensets(MOMENTS, max_size=5))
def test_a_cursor_comes_back_without_what_is_beyond_its_horizon(
    key: Key, horizon: datetime, hidden: frozenset[datetime]
) -> None:
    within = VisibleRuns(horizon, frozenset(run for run in hidden if run <= horizon))
    for runs, expected in ((None, None), (VisibleRuns(horizon, hidden), within)):
        text = write_cursor(Cursor(key, runs), SEAL)
        assert read_cursor(text, SEAL) == Cursor(key, expected)


@given(KEYS, st.integers(0, 400), st.integers(1, 255))
def test_a_cursor_that_was_changed_or_signed_elsewhere_is_refused(
    key: Key, place: int, change: int
) -> None:
    octets = bytearray(base64.urlsafe_b64decode(write_cursor(Cursor(key), SEAL) + "=="))
    for seal in (Seal(b"other", "scope"), Seal(b"secret", "another query")):
        with pytest.raises(RequestRefused):
            read_cursor(write_cursor(Cursor(key), SEAL), seal)
    octets[place % len(octets)] ^= change
    with pytest.raises(RequestRefused):
        read_cursor(base64.urlsafe_b64encode(octets).decode(), SEAL)


@given(st.text(max_size=200))
def test_no_text_but_a_cursor_is_a_cursor(text: str) -> None:
    with pytest.raises(RequestRefused):
        read_cursor(text, SEAL)


@pytest.mark.parametrize(
    "parts",
    [
        {}, {"t": 1, "i": OID}, {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": {"$gt": ""}},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": None},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "v": [{"$gt": ""}]},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "v": {"$gt": ""}},
        {"t": {"$gt": 0}, "i": "x"}, {"t": bson.DatetimeMS(2**62), "i": OID},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "h": "x"},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "h": bson.DatetimeMS(0), "x": "y"},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "h": bson.DatetimeMS(0), "x": b"123"},
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "i": OID, "h": bson.DatetimeMS(0),
         "x": b"\xff" * 7 + b"\x7f"},
    ],
)  # fmt: skip
def test_a_forged_cursor_cannot_bring_in_other_types(parts: dict[str, object]) -> None:
    body = bson.encode(parts)
    with pytest.raises(RequestRefused):
        read_cursor(base64.urlsafe_b64encode(SEAL.digest(body) + body).decode(), SEAL)


def test_a_problem_names_what_is_nearest() -> None:
    problem = not_found("source", "ordrs", ["orders", "people"]).problem
    assert (problem.status, problem.members["nearest"]) == (404, "orders")


@given(st.text(st.characters()))
def test_text_from_a_request_is_shown_as_valid_and_short(text: str) -> None:
    assert len(shown(text).encode()) <= 400


def test_one_failing_check_makes_health_fail_and_say_why() -> None:
    report = HealthReport([Check("a", is_ok=True), Check("b", is_ok=False, reason="away")])
    assert not report.is_ok
    assert report.as_document()["reasons"] == ["b: away"]
