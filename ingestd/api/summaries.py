"""``/data/{source_name}/count`` and ``/aggregate``: rows that match, counted and added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web
from bson import Decimal128

from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT, Columns
from ingestd.api.filters import chosen_columns
from ingestd.api.listing import RowListing, read_listing
from ingestd.api.problems import bad_parameter
from ingestd.api.query import ListQuery, read_match_query
from ingestd.api.sources import named_source
from ingestd.api.values import parse_bool
from ingestd.config.source import ColumnSpec
from ingestd.export.json_text import shown_value
from ingestd.mongo import Document

_MOST_GROUPS = 1000
_NUMBERS = ("int", "uint", "float", "decimal", "duration")
"""How types begin whose values can be added up."""
_NESTED = ("json", "binary")
"""Types whose values have no order that means anything."""

WORDS: Mapping[str, str] = {"sum": "$sum", "avg": "$avg", "min": "$min", "max": "$max"}
"""What can be asked of a column, and MongoDB's word for it."""
_PARAMETERS = ("start_date", "end_date", "file_id")
_OF_GROUPS = (*_PARAMETERS, "limit", "group_by", "count", *WORDS)


async def get_count(request: web.Request) -> web.Response:
    """How many rows match; counted, or with ``estimate=true`` as MongoDB remembers it."""
    query = read_match_query(request, (*_PARAMETERS, "estimate"))
    is_estimate = _take_flag(query, "estimate")
    listing = await read_listing(request, query, (*_PARAMETERS, "estimate"))
    if is_estimate:
        if listing.conditions or query.bounds():
            raise bad_parameter("estimate", "what matches a filter can only be counted exactly")
        count = await listing.context.mongo.estimated_count(listing.source_name)
        return json_response({"count": count, "is_exact": False})
    found = await _aggregate(listing, [{"$count": "count"}])
    return json_response({"count": found[0]["count"] if found else 0, "is_exact": True})


@dataclass(frozen=True, slots=True)
class _Summary:
    """A word of ``WORDS`` asked of a column."""

    word: str
    column_name: str
    column: ColumnSpec

    @property
    def name(self) -> str:
        return f"{self.word}_{self.column_name}"

    @property
    def is_large_sum(self) -> bool:
        """Whether it can outgrow 64 bits, where MongoDB would go on with floats."""
        return self.word == "sum" and self.column.type in ("int64", "duration")

    @property
    def accumulator(self) -> Document:
        """For MongoDB; what is no number counts for nothing in either."""
        value = f"${self.column_name}"
        decimal = {"$cond": [{"$isNumber": value}, {"$toDecimal": value}, None]}
        return {WORDS[self.word]: decimal if self.is_large_sum else value}

    def shown(self, value: Any) -> Any:
        """What MongoDB found, as a row would show it."""
        return shown_value(_whole(value) if self.is_large_sum else value, self.column)


def _whole(total: Decimal128 | int) -> int | float:
    """A sum of whole numbers; it is none when another writer left fractions among them."""
    number = Decimal(str(total))
    return int(number) if float(number).is_integer() else float(number)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of each group."""

    columns: Columns
    keys: Sequence[str]
    summaries: Sequence[_Summary]
    has_count: bool

    @property
    def names(self) -> list[str]:
        """What a group has beside its keys."""
        names = [summary.name for summary in self.summaries]
        return ["count", *names] if self.has_count else names

    @property
    def stage(self) -> Document:
        """For MongoDB; names of columns could mean something to it, places do not."""
        keys = {f"k{place}": f"${name}" for place, name in enumerate(self.keys)}
        values = {f"v{place}": one.accumulator for place, one in enumerate(self.summaries)}
        return {"$group": {"_id": keys, "count": {"$sum": 1}, **values}}

    def shown(self, group: Document) -> Document:
        """A group as it is answered."""
        told: Document = {}
        for place, name in enumerate(self.keys):
            told[name] = shown_value(group["_id"].get(f"k{place}"), self.columns[name])
        if self.has_count:
            told["count"] = group["count"]
        for place, summary in enumerate(self.summaries):
            told[summary.name] = summary.shown(group[f"v{place}"])
        return told


async def get_aggregate(request: web.Request) -> web.Response:
    """Groups of rows, in the order of their values, with what was asked of each."""
    query = read_match_query(request, _OF_GROUPS)
    columns = request.app[CONTEXT].schemas[named_source(request)]
    asked = _read_request(query, columns)
    listing = await read_listing(request, query, _OF_GROUPS)
    most = min(query.limit or 0, _MOST_GROUPS)
    found = await _aggregate(listing, [asked.stage, {"$sort": {"_id": 1}}, {"$limit": most + 1}])
    groups = [asked.shown(group) for group in found[:most]]
    return json_response({"groups": groups, "is_complete": len(found) <= most})


def _read_request(query: ListQuery, columns: Columns) -> _Request:
    keys = _take_columns(query, "group_by", columns)
    summaries = [
        _Summary(word, name, columns[name])
        for word in WORDS
        for name in _take_columns(query, word, columns)
    ]
    has_count = _take_flag(query, "count")
    if not has_count and not summaries:
        words = ", ".join(WORDS)
        raise bad_parameter("count", "nothing is asked for", f"add count, or one of {words}")
    asked = _Request(columns, keys, summaries, has_count)
    for name in keys:
        if name in asked.names:
            detail = f"column {name} and something asked of each group would both be {name}"
            raise bad_parameter("group_by", detail, "ask for them one by one")
    return asked


def _take_columns(query: ListQuery, parameter: str, columns: Columns) -> list[str]:
    """The columns that a parameter names; all of types for which it means something."""
    text = query.filters.pop(parameter, None)
    names = [] if text is None else list(chosen_columns(text, columns, parameter))
    for name in names:
        kind = columns[name].type
        is_fine = kind.startswith(_NUMBERS) if parameter in ("sum", "avg") else kind not in _NESTED
        if not is_fine:
            detail = f"column {name} is of type {kind}, which {parameter} does not take"
            raise bad_parameter(parameter, detail)
    return names


def _take_flag(query: ListQuery, name: str) -> bool:
    """``count``, or ``count=true``."""
    text = query.filters.pop(name, None)
    try:
        return text is not None and (text == "" or parse_bool(text))
    except KeyError as error:
        raise bad_parameter(name, "it has to be true or false") from error


async def _aggregate(listing: RowListing, stages: Sequence[Document]) -> list[Document]:
    """What the stages make of the rows that match and may be seen."""
    walk = await listing.walk(listing.context.mongo, None)
    if walk is None:
        return []
    (match,) = walk.parts()
    return await listing.context.mongo.aggregate(
        listing.source_name, [{"$match": match}, *stages], maxTimeMS=walk.time_limit_ms
    )
