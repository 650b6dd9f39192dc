"""``GET /files`` and ``/files/{file_id}``: the ledger, newest file first."""

import re

from aiohttp import web

from ingestd.access import Kind
from ingestd.api.admission import PRINCIPAL
from ingestd.api.answers import PlainListing, answer_list, json_response
from ingestd.api.context import CONTEXT
from ingestd.api.problems import RequestRefused, bad_parameter, choices, not_found
from ingestd.api.query import read_list_query, refuse_parameters
from ingestd.api.rows import renderer
from ingestd.api.walks import Walk
from ingestd.ledger import FILES, name_of, tries
from ingestd.mongo import Document
from ingestd.records import FileState

_FILE_ID = re.compile(r"[0-9a-f]{16}([-.][0-9]{1,9})?")
_SHOWN = (
    "source_name", "name", "state", "path", "size", "sha256", "attempts", "discovered_at",
    "processed_at", "finished_at", "record_count", "success_count", "error_count",
    "filtered_count", "rows_done", "archived_to", "drift", "error", "retry_at", "duplicate_of",
    "replaced_by", "config_hash", "actions", "rejects_file",
)  # fmt: skip
"""Fields of a ledger document that mean something to a reader."""


async def get_files(request: web.Request) -> web.StreamResponse:
    """Files of all sources, or of one, in any state or some."""
    context = request.app[CONTEXT]
    query = read_list_query(request).only("source", "state", "name")
    walk = Walk(
        reads=context.mongo,
        collection=FILES,
        time_field="processed_at",
        time_limit_ms=context.time_limit_ms,
        conditions=(
            *query.bounds(),
            *_readable(request),
            *await _conditions(request, query.filters),
        ),
        is_descending=True,
    )
    return await answer_list(request, query, PlainListing(walk, renderer("processed_at", as_file)))


async def get_file(request: web.Request) -> web.Response:
    """One file."""
    refuse_parameters(request)
    return json_response(as_file(await find_file(request, Kind.READ)))


async def find_file(request: web.Request, *kinds: Kind) -> Document:
    """The ledger entry of the file in the path.

    Raises:
        RequestRefused: 404, also where it is of a source with which one may do none of that.
    """
    context, file_id = request.app[CONTEXT], named_file(request)
    file = await context.mongo.find_one(FILES, {"_id": file_id}, max_time_ms=context.time_limit_ms)
    if file is None or not request[PRINCIPAL].may_any(kinds, file["source_name"]):
        raise _unknown_file(file_id)
    return file


def named_file(request: web.Request) -> str:
    """The file id of the path; what cannot be one is unknown."""
    file_id = request.match_info["file_id"]
    if not _FILE_ID.fullmatch(file_id):
        raise _unknown_file(file_id)
    return file_id


def _unknown_file(file_id: str) -> RequestRefused:
    return not_found("file", file_id, hint="see /files for what there is")


def as_file(document: Document) -> Document:
    """A ledger document for readers: every field is there, ``null`` where it means nothing."""
    fields = {name: document.get(name) for name in _SHOWN}
    owner = document.get("owner")
    told = {"attempts": tries(document), "owner": owner and name_of(owner)}
    return {"file_id": document["_id"], **fields, **told}


def _readable(request: web.Request) -> list[Document]:
    sources = request[PRINCIPAL].sources(Kind.READ)
    return [] if sources is None else [{"source_name": {"$in": sources}}]


async def _conditions(request: web.Request, filters: dict[str, str]) -> list[Document]:
    conditions: list[Document] = []
    if "source" in filters:
        conditions.append({"source_name": await _known_source(request, filters["source"])})
    if "state" in filters:
        conditions.append({"state": {"$in": _states(filters["state"])}})
    if "name" in filters:
        conditions.append({"name": {"$eq": filters["name"]}})
    return conditions


async def _known_source(request: web.Request, name: str) -> str:
    """A configured source, or one that was: its files are still in the ledger."""
    context, principal = request.app[CONTEXT], request[PRINCIPAL]
    if principal.may(Kind.READ, name) and (
        name in context.sources
        or await context.mongo.find_one(
            FILES, {"source_name": {"$eq": name}}, max_time_ms=context.time_limit_ms
        )
    ):
        return name
    seen = filter(principal.knows, context.sources)
    raise bad_parameter("source", "there is no such source", more=choices(name, seen))


def _states(text: str) -> list[str]:
    """States between commas."""
    allowed = [state.value for state in FileState]
    for name in text.split(","):
        if name not in allowed:
            raise bad_parameter("state", "there is no such state", more=choices(name, allowed))
    return text.split(",")
