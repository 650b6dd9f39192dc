"""``GET /sources`` and ``/sources/{source_name}``: what is configured, and how it is doing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from aiohttp import web

from ingestd.access import Kind
from ingestd.api.admission import PRINCIPAL, asked_by
from ingestd.api.answers import json_response
from ingestd.api.bodies import read_options
from ingestd.api.context import CONTEXT, ApiContext
from ingestd.api.files import as_file
from ingestd.api.problems import not_found
from ingestd.api.query import refuse_parameters
from ingestd.ledger import BY_STATE, FILES, Pauses
from ingestd.mongo import Document
from ingestd.records import COMMITTED, FileState


def named_source(request: web.Request) -> str:
    """The source of the path.

    Raises:
        RequestRefused: 404 naming the sources there are.
    """
    name, known = request.match_info["source_name"], request.app[CONTEXT].sources
    if name not in known:
        seen = filter(request[PRINCIPAL].knows, known)
        raise not_found("source", name, seen, "see /sources")
    return name


async def get_sources(request: web.Request) -> web.Response:
    """All sources that one may read."""
    refuse_parameters(request)
    context = request.app[CONTEXT]
    readable = [name for name in context.sources if request[PRINCIPAL].may(Kind.READ, name)]
    return json_response(await _describe(context, readable))


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
            "files_counted_up_to": context.most_counted,
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
    counts: dict[str, States] = {name: {} for name in names}
    wanted = [(name, state.value) for name in names for state in FileState]
    found = await asyncio.gather(*(_count_state(context, *one) for one in wanted))
    for (name, state), entries in zip(wanted, found, strict=True):
        for entry in entries:
            counts[name][state] = (entry["count"], entry["newest"])
    return counts


async def _count_state(context: ApiContext, name: str, state: str) -> list[Document]:
    """From the ledger's index alone, which is named: to choose one takes longer than to read it."""
    stages: list[Document] = [
        {"$match": {"source_name": name, "state": state}},
        {"$sort": {"processed_at": -1, "_id": -1}},
        {"$limit": context.most_counted},
        {"$project": {"_id": 0, "processed_at": 1}},
        {"$group": {"_id": None, "count": {"$sum": 1}, "newest": {"$max": "$processed_at"}}},
    ]
    return await context.mongo.aggregate(
        FILES, stages, hint=dict.fromkeys(BY_STATE, 1), maxTimeMS=context.time_limit_ms
    )


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


async def pause_source(request: web.Request) -> web.Response:
    """Let the files of a source wait, in all daemons, until it is resumed."""
    return await _change(request, lambda pauses, name: pauses.pause(name, asked_by(request)))


async def resume_source(request: web.Request) -> web.Response:
    """Take the files of a source again."""
    return await _change(request, lambda pauses, name: pauses.resume(name))


async def _change(
    request: web.Request, change: Callable[[Pauses, str], Awaitable[None]]
) -> web.Response:
    refuse_parameters(request)
    await read_options(request, {})
    name, pauses = named_source(request), request.app[CONTEXT].desk.ledger.pauses
    await change(pauses, name)
    return json_response({"name": name, "paused": (await pauses.all()).get(name)})
