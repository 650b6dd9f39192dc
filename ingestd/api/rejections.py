"""``GET /errors/{source_name}``: what was refused, and why, oldest first."""

from aiohttp import web

from ingestd.api.answers import PlainListing, answer_list
from ingestd.api.context import CONTEXT
from ingestd.api.problems import bad_parameter, choices
from ingestd.api.query import read_list_query
from ingestd.api.rows import renderer
from ingestd.api.sources import named_source
from ingestd.api.walks import Walk
from ingestd.mongo import Document

ERRORS = "errors"
STATES = ("open", "replayed", "dismissed")
_FIELDS = {
    "type": "error_type", "rule": "violations.rule", "column": "violations.column",
    "file_id": "file_id", "state": "state",
}  # fmt: skip
"""Filter and the field it compares."""


async def get_errors(request: web.Request) -> web.StreamResponse:
    """The rejections of one source, as they are stored."""
    context, source_name = request.app[CONTEXT], named_source(request)
    query = read_list_query(request).only(*_FIELDS)
    state = query.filters.get("state")
    if state is not None and state not in STATES:
        raise bad_parameter("state", "there is no such state", more=choices(state, STATES))
    wanted: list[Document] = [
        {_FIELDS[name]: {"$eq": text}} for name, text in query.filters.items()
    ]
    walk = Walk(
        mongo=context.mongo,
        collection=ERRORS,
        time_field="error_time",
        time_limit_ms=context.time_limit_ms,
        conditions=({"source_name": source_name}, *query.bounds("error_time"), *wanted),
    )
    listing = PlainListing(walk, renderer("error_time", lambda document: document))
    return await answer_list(request, query, listing)
