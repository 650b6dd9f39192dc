"""Reading the query string of a request, strictly: valid UTF-8, nothing twice, nothing unknown."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from aiohttp import web

from ingestd.api.formats import LISTS, Format, Formats, choose_format
from ingestd.api.problems import bad_parameter, unknown_parameter
from ingestd.api.values import parse_moment
from ingestd.mongo import Document

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
MAX_PARAMETERS = 100
LIST_PARAMETERS = ("start_date", "end_date", "limit", "cursor", "format")
"""Parameters that every list takes."""
_OF_LISTS = ("limit", "cursor", "format", "fields", "sort")
_OF_SEVERAL_COLUMNS = ("fields", "sort", "group_by", "sum", "avg", "min", "max")

_DATE_HINT = "write a date (2026-01-31, all of it) or a date-time with zone (2026-01-31T08:00:00Z)"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a request asks of a list. ``start`` and ``end`` are inclusive, UTC."""

    format: Format
    limit: int | None
    """``None``: all there is, streamed."""
    cursor: str | None
    start: datetime | None
    end: datetime | None
    filters: dict[str, str]
    """The other parameters: the endpoint reads them."""
    scope: str
    """All that makes the query what it is; a cursor belongs to one scope."""

    def only(self, *names: str) -> "ListQuery":
        """Itself, when no other filters are given than those."""
        for name in self.filters:
            if name not in names:
                raise unknown_parameter(name, (*LIST_PARAMETERS, *names))
        return self

    def bounds(self, time_field: str = "processed_at") -> list[Document]:
        """The dates as conditions."""
        limits = {"$gte": self.start, "$lte": self.end}
        given = {operator: moment for operator, moment in limits.items() if moment is not None}
        return [{time_field: given}] if given else []


def read_list_query(request: web.Request, formats: Formats = LISTS) -> ListQuery:
    """The parameters of a list that comes in one of these formats.

    Raises:
        RequestRefused: 400 naming the parameter, 406 when the format is not available.
    """
    given = read_parameters(request)
    scoped = sorted(item for item in given.items() if item[0] not in ("cursor", "limit", "format"))
    accept = ",".join(request.headers.getall("Accept", ()))
    form = choose_format(given.pop("format", None), accept, formats)
    start, end = given.pop("start_date", None), given.pop("end_date", None)
    return ListQuery(
        format=form,
        limit=_read_limit(given.pop("limit", None), form, formats),
        cursor=given.pop("cursor", None),
        start=None if start is None else _read_bound("start_date", start),
        end=None if end is None else _read_bound("end_date", end),
        filters=given,
        scope=repr((request.path, scoped)),
    )


def read_match_query(request: web.Request, parameters: Iterable[str]) -> ListQuery:
    """Dates and filters for an answer that is no list: what makes a list is unknown to it, unless
    it is one of its ``parameters``."""
    for name in read_parameters(request):
        if name in _OF_LISTS and name not in parameters:
            raise unknown_parameter(name, parameters)
    return read_list_query(request)


def refuse_parameters(request: web.Request) -> None:
    """For endpoints that take none."""
    for name in read_parameters(request):
        raise unknown_parameter(name, ())


def read_parameters(request: web.Request) -> dict[str, str]:
    """The query string, decoded once and checked."""
    try:
        pairs = parse_qsl(
            request.rel_url.raw_query_string, keep_blank_values=True, errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )  # fmt: skip
        for text in (text for pair in pairs for text in pair):
            text.encode()
    except UnicodeError as error:
        raise bad_parameter("", "the query string is not valid UTF-8") from error
    except ValueError as error:
        raise bad_parameter("", f"more than {MAX_PARAMETERS} parameters") from error
    return _once_each(pairs)


def _once_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in given:
            several = f"{name}=a,b" if name in _OF_SEVERAL_COLUMNS else "<column>__in=a,b"
            raise bad_parameter(name, "it is given twice", f"for several values: {several}")
        if "\0" in name or "\0" in text:
            raise bad_parameter(name, "a NUL character is not allowed")
        given[name] = text
    return given


def _read_limit(text: str | None, form: Format, formats: Formats) -> int | None:
    if text is None:
        return DEFAULT_LIMIT
    streamed = "format=" + " or ".join(name for name in formats if formats[name].is_streamed)
    if text == "all":
        if form.is_streamed:
            return None
        raise bad_parameter("limit", f"all is too much for {form.name}", f"use {streamed}")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        allowed = f"1 to {MAX_LIMIT}, or all with {streamed}"
        raise bad_parameter("limit", "not a usable limit", more={"allowed": [allowed]})
    return int(text)


def _read_bound(name: str, text: str) -> datetime:
    try:
        moment = parse_moment(text)
    except (ValueError, OverflowError) as error:
        raise bad_parameter(name, "not a date or a date-time with zone", _DATE_HINT) from error
    is_date = len(text) == len("2026-01-31")
    if name == "end_date" and is_date:
        return moment + timedelta(days=1, milliseconds=-1)
    return moment
