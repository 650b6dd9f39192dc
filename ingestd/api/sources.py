"""``GET /sources`` and ``/sources/{source_name}``: what is configured, and how it is doing."""

from collections.abc import Iterable
from datetime import datetime

from aiohttp import web

from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT, ApiContext
from ingestd.api.files import as_file
from ingestd.api.problems import not_found
from ingestd.api.query import refuse_parameters
from ingestd.ledger import FILES
from ingestd.mongo import Document
from ingestd.records import COMMITTED


def named_source(request: web.Request) -> str:
    """The source of the path.

    Raises:
        RequestRefused: 404 naming the sources there are.
    """
    name, known = request.match_info["source_name"], request.app[CONTEXT].sources
    if name not in known:
        raise not_found("source", name, known, "see /sources")
    return name


async def get_sources(request: web.Request) -> web.Response:
    """All sources."""
    refuse_parameters(request)
    context = request.app[CONTEXT]
    return json_response(await _describe(context, list(context.sources)))


async def get_source(request: web.Request) -> web.Response:
    """One source."""
    refuse_parameters(request)
    name = named_source(request)
    return json_response((await _describe(request.app[CONTEXT], [name]))[0])


async def _describe(context: ApiContext, names: list[str]) -> list[Document]:
    counts = await _count_files(context, names)
    newest = [max(runs) for name in names if (runs := _committed_runs(counts[name]))]
    last = await _last_files(context, names, newest)
    return [
        {
            "name": name,
            "file_pattern": context.sources[name].file_pattern,
            "mode": context.sources[name].load.mode,
            "columns": {column: spec.type for column, spec in context.schemas[name].items()},
            "files": {state: count for state, (count, _) in sorted(counts[name].items())},
            "last_file": last.get(name),
            **context.activity(name),
        }
        for name in names
    ]


States = dict[str, tuple[int, datetime]]
"""By state: how many files, and the newest run of them."""


def _committed_runs(states: States) -> list[datetime]:
    return [states[state.value][1] for state in COMMITTED if state.value in states]


async def _count_files(context: ApiContext, names: list[str]) -> dict[str, States]:
    """From the ledger's index alone, in one query."""
    group = {
        "_id": {"source": "$source_name", "state": "$state"},
        "count": {"$sum": 1}, "newest": {"$max": "$processed_at"},
    }  # fmt: skip
    found = await context.mongo.aggregate(
        FILES, [{"$match": {"source_name": {"$in": names}}}, {"$group": group}],
        maxTimeMS=context.time_limit_ms,
    )  # fmt: skip
    counts: dict[str, States] = {name: {} for name in names}
    for entry in found:
        states = counts[entry["_id"]["source"]]
        states[entry["_id"]["state"]] = (entry["count"], entry["newest"])
    return counts


async def _last_files(
    context: ApiContext, names: list[str], runs: Iterable[datetime]
) -> dict[str, Document]:
    """The newest committed file of each source."""
    match = {
        "source_name": {"$in": names},
        "state": {"$in": [state.value for state in COMMITTED]},
        "processed_at": {"$in": list(runs)},
    }
    order = [("processed_at", 1)]
    found = await context.mongo.find(FILES, match, sort=order, max_time_ms=context.time_limit_ms)
    return {file["source_name"]: as_file(file) for file in found}
