"""Formats, lists of formats, epochs, time zones: which moment a text means, if it means one."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.errors import ConfigError
from ingestd.validate import TYPES, compile_validator
from ingestd.validate.unread import explain_unread

BERLIN = {"type": "datetime", "timezone": "Europe/Berlin"}


def read(spec: dict[str, Any], *texts: str) -> list[Any]:
    """The values; None where a text is none."""
    column = ColumnSpec.model_validate(spec)
    value = TYPES[column.type].read(pl.col("c"), column)
    return pl.DataFrame({"c": texts}, {"c": pl.String}).select(value).to_series().to_list()


def told(spec: dict[str, Any], text: str) -> str:
    """What is told about a text that does not parse."""
    assert read(spec, text) == [None]
    column = ColumnSpec.model_validate(spec)
    message: str = explain_unread(pl.Series([text]), column, TYPES[column.type]).item()
    return message


def mistakes(spec: dict[str, Any]) -> list[str]:
    source = {"name": "s", "file_pattern": "s/*.csv", "schema": {"c": spec}}
    with pytest.raises(ConfigError) as caught:
        compile_validator(SourceSpec.model_validate(source))
    return [problem.message for problem in caught.value.problems]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_of_several_formats_the_first_that_fits_counts() -> None:
    spec = {"type": "date", "format": ["%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y"]}
    texts = ("01/02/2024", "01/31/2024", "31/01/24", "2024-01-31")
    assert read(spec, *texts) == [date(2024, 2, 1), date(2024, 1, 31), date(2024, 1, 31), None]


def test_formats_with_and_without_an_offset_stand_beside_each_other() -> None:
    spec = BERLIN | {"format": ["%Y-%m-%d %H:%M%z", "%Y-%m-%d %H:%M", "epoch_s"]}
    texts = ("2024-07-01 12:00-0500", "2024-07-01 12:00", "0")
    assert read(spec, *texts) == [utc(2024, 7, 1, 17), utc(2024, 7, 1, 10), utc(1970, 1, 1)]


def test_times_have_formats_too() -> None:
    spec = {"type": "time", "format": ["%I:%M %p", "%H.%M"]}
    assert read(spec, "01:30 PM", "13.30", "13:30") == [time(13, 30), time(13, 30), None]


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("%d/%m/%Y", "1/2/2024", "1/2/24"),
        ("%d/%m/%Y", "01/02/0024", "01/02/-24"),
        ("%Y-%m-%d", "0001-01-01", "1-01-01"),
        ("%Y%m%d", "20240111", "2024111"),
        ("%y%m%d", "240111", "24111"),
        ("%d%b%Y", "1Jan2024", "1Jan24"),
        ("%d %B %Y", "1 may 2024", "1 mai 2024"),
        ("%m/%Y", "01/2024", "01/24"),
    ],
)
def test_a_year_is_never_taken_from_too_few_digits(format_: str, good: str, bad: str) -> None:
    values = read({"type": "date", "format": format_}, good, bad)
    assert values[0] is not None
    assert values[1] is None


@pytest.mark.parametrize("format_", ["%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z %j"])
def test_short_years_are_refused_beside_an_offset(format_: str) -> None:
    spec = {"type": "datetime", "format": format_}
    day = " 061" if "%j" in format_ else ""
    texts = (f"24-03-01 00:00:00+00:00{day}", f"2024-03-01 00:00:00+00:00{day}")
    assert read(spec, *texts) == [None, utc(2024, 3, 1)]


@given(st.dates(), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%m/%d/%Y", "%Y/%j"]))
def test_formatted_date_agrees_with_strptime(day: date, format_: str) -> None:
    text = day.strftime(format_.replace("%Y", f"{day.year:04}"))
    assert read({"type": "date", "format": format_}, text) == [day]
    assert datetime.strptime(text, format_).date() == day


@given(st.text("0123456789/ -", max_size=11))
def test_what_strptime_refuses_as_a_date_is_refused(text: str) -> None:
    (value,) = read({"type": "date", "format": "%d/%m/%Y"}, text)
    if value is not None:
        assert datetime.strptime(text.replace(" ", ""), "%d/%m/%Y").date() == value


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_epochs_count_from_1970_in_utc(count_ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=count_ms)
    assert read({"type": "datetime", "format": "epoch_ms"}, str(count_ms)) == [moment]
    sign, (seconds, rest) = "-" * (count_ms < 0), divmod(abs(count_ms), 1000)
    text = f"{sign}{seconds}.{rest:03}999"
    assert read({"type": "datetime", "format": "epoch_s"}, text) == [moment]


@pytest.mark.parametrize("format_", ["epoch_s", "epoch_ms"])
def test_what_is_no_count_is_no_epoch(format_: str) -> None:
    texts = (
        "",
        "1e9",
        "0x1",
        "now",
        "1_000",
        "2024-01-01",
        " 1",
        "9" * 30,
        "-",
        "1.",
        "999999999999999",
    )
    spec = {"type": "datetime", "format": format_}
    assert read(spec, *texts) == [None] * len(texts)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2037, 12, 31)).map(
        lambda m: m.replace(microsecond=0)
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.sampled_from([None, "%Y-%m-%dT%H:%M:%S"]),
)
def test_time_zones_agree_with_zoneinfo(moment: datetime, zone: str, format_: str | None) -> None:
    spec = {"type": "datetime", "timezone": zone, "format": format_}
    in_zone = [moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    earliest, latest = (local.astimezone(UTC) for local in in_zone)
    is_skipped = earliest.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != moment
    text = moment.isoformat()
    for ambiguous, expected in (("earliest", earliest), ("latest", latest)):
        assert read(spec | {"ambiguous": ambiguous}, text) == [None if is_skipped else expected]
    assert read(spec, text) == [None if earliest != latest else earliest]


@pytest.mark.parametrize("format_", [None, "%d.%m.%Y %H:%M"])
def test_hours_that_the_clocks_skip_or_repeat_are_told_apart(format_: str | None) -> None:
    spec = BERLIN | {"format": format_}
    texts = ["2024-03-31T02:30", "2024-10-27T02:30"]
    if format_:
        texts = [datetime.fromisoformat(text).strftime(format_) for text in texts]
    assert told(spec, texts[0]).endswith("the clocks skipped it; is that the right timezone?")
    advice = '; the clocks showed it twice; ambiguous = "earliest" or "latest" decides'
    assert told(spec, texts[1]).endswith(advice)


@pytest.mark.parametrize(
    ("spec", "text", "message"),
    [
        ("date", "31/01/2024", "'31/01/2024' is not a date; did you mean format = \"%d/%m/%Y\"?"),
        ("date", "01.31.2024", "'01.31.2024' is not a date; did you mean format = \"%m.%d.%Y\"?"),
        (
            "date",
            "1/2/2024",
            '\'1/2/2024\' is not a date; declare format = "%d/%m/%Y" or "%m/%d/%Y"',
        ),
        ("date", "2024-02-30", "'2024-02-30' is not a date; there is no such day or time"),
        (
            "date",
            "2024-02-03T04:05",
            "'2024-02-03T04:05' is not a date; it has a time of day: is the column a datetime?",
        ),
        (
            "datetime",
            "1700000000123",
            "'1700000000123' is not a datetime; did you mean format = \"epoch_ms\"?",
        ),
        (
            {"type": "date", "format": "%d/%m/%Y"},
            "01/31/2024",
            "'01/31/2024' is not a date like %d/%m/%Y; day and month swapped? It fits %m/%d/%Y",
        ),
        (
            {"type": "date", "format": ["%d/%m/%Y"]},
            "01/02/24",
            "'01/02/24' is not a date like %d/%m/%Y; a year of two digits? It fits %d/%m/%y",
        ),
        (
            "date",
            "NULL",
            "'NULL' is not a date; if that means no value, name it in csv.null_values",
        ),
        ("time", "noon", "'noon' is not a time"),
    ],
)
def test_refusal_comes_with_a_hint(spec: Any, text: str, message: str) -> None:
    assert told({"type": spec} if isinstance(spec, str) else spec, text) == message


@pytest.mark.parametrize(
    ("spec", "mistake"),
    [
        ({"type": "date", "format": "epoch_s"}, "epoch_s is a format of date-times only"),
        ({"type": "date", "format": "%d.%m."}, "%d.%m. cannot read back what it writes"),
        ({"type": "time", "format": "%I:%M"}, "%I:%M cannot read back what it writes"),
        (
            {"type": "datetime", "format": "%d.%m.%Y %H"},
            "%d.%m.%Y %H cannot read back what it writes",
        ),
        ({"type": "date", "format": ["%F", "%H:%M"]}, "%H:%M cannot read back what it writes"),
    ],
)
def test_format_that_does_not_tell_the_whole_is_a_mistake(spec: Any, mistake: str) -> None:
    assert mistakes(spec) == [mistake]


@pytest.mark.parametrize("format_", [[], [""], ["%Y", 1], "epoch", 7])
def test_what_is_no_format_is_a_mistake(format_: Any) -> None:
    with pytest.raises(ValueError, match='write it like "%Y-%m-%d"'):
        ColumnSpec.model_validate({"type": "date", "format": format_})
