"""``GET /errors/{source_name}``: what was refused, and why, oldest first; and its summary."""

import re
from collections.abc import Iterator

from aiohttp import web

from ingestd.api.answers import PlainListing, answer_list, json_response
from ingestd.api.context import CONTEXT
from ingestd.api.problems import bad_parameter, choices
from ingestd.api.query import ListQuery, read_list_query, read_match_query
from ingestd.api.rows import renderer
from ingestd.api.sources import named_source
from ingestd.api.walks import Walk
from ingestd.mongo import Document, rows_of

ERRORS = "errors"
_MOST_REASONS = 1000
STATES = ("open", "replayed", "dismissed")
_FIELDS = {
    "type": "error_type", "rule": "violations.rule", "column": "violations.column",
    "file": "file", "state": "state",
}  # fmt: skip
"""Filter and the field it compares."""
_FILTERS = (*_FIELDS, "file_id")
_FILE_ID = re.compile(r"([0-9a-f]{16})(-[0-9]{1,9})?")
"""A content, and which of the files that had it; rejections are those of the content."""


async def get_errors(request: web.Request) -> web.StreamResponse:
    """The rejections of one source, as they are stored."""
    context, source_name = request.app[CONTEXT], named_source(request)
    query = read_list_query(request)
    walk = Walk(
        reads=context.mongo,
        collection=ERRORS,
        time_field="error_time",
        time_limit_ms=context.time_limit_ms,
        conditions=tuple(_conditions(source_name, query)),
        is_by_identity="file_id" in query.filters,
    )
    listing = PlainListing(walk, renderer("error_time", lambda document: document))
    return await answer_list(request, query, listing)


async def get_summary(request: web.Request) -> web.Response:
    """How many reasons there are by rule and column, the most frequent first, with an example."""
    context, source_name = request.app[CONTEXT], named_source(request)
    query = read_match_query(request, ("start_date", "end_date", *_FILTERS))
    reasons = {
        "rule": {"$ifNull": ["$violations.rule", "$error_type"]},
        "column": {"$ifNull": ["$violations.column", None]},
    }
    example = {name: f"${name}" for name in ("file", "file_id", "row", "line")}
    example |= {"value": "$violations.value", "message": "$violations.message"}
    stages: list[Document] = [
        {"$match": {"$and": list(_conditions(source_name, query))}},
        {"$unwind": {"path": "$violations", "preserveNullAndEmptyArrays": True}},
        {"$group": {"_id": reasons, "count": {"$sum": 1}, "example": {"$first": example}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": _MOST_REASONS},
    ]
    found = await context.mongo.aggregate(ERRORS, stages, maxTimeMS=context.time_limit_ms)
    told = [{**one["_id"], "count": one["count"], "example": one["example"]} for one in found]
    return json_response(told)


def _conditions(source_name: str, query: ListQuery) -> Iterator[Document]:
    """Those of the filters and dates of a query.

    Raises:
        RequestRefused: 400, there is no such filter or state, or that is no file id.
    """
    filters = query.only(*_FILTERS).filters
    state = filters.get("state")
    if state is not None and state not in STATES:
        raise bad_parameter("state", "there is no such state", more=choices(state, STATES))
    yield {"source_name": source_name}
    yield from query.bounds("error_time")
    if "file_id" in filters:
        yield _of_file(filters["file_id"])
    yield from ({_FIELDS[name]: {"$eq": filters[name]}} for name in filters if name in _FIELDS)


def _of_file(text: str) -> Document:
    """A range of the primary index."""
    found = _FILE_ID.fullmatch(text)
    if found is None:
        raise bad_parameter("file_id", "it cannot be the id of a file", "see /files")
    return rows_of(found[1])
