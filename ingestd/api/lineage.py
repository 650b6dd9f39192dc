"""``/data/{source_name}/{row_id}``: one row, where it comes from, and what was refused of it."""

import re

from aiohttp import web
from bson import ObjectId

from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT, ApiContext
from ingestd.api.files import as_file
from ingestd.api.problems import RequestRefused, not_found
from ingestd.api.query import refuse_parameters
from ingestd.api.rejections import ERRORS
from ingestd.api.sources import named_source
from ingestd.export.json_text import row_shape
from ingestd.ledger import FILES
from ingestd.mongo import Document
from ingestd.visible import visible_files

_ROW_ID = re.compile(r"[0-9a-f]{24}")
_ROW_BYTES = 4


async def get_row(request: web.Request) -> web.Response:
    """The row, if it may be seen; its file, its number there, and its rejections."""
    refuse_parameters(request)
    context, source_name = request.app[CONTEXT], named_source(request)
    identity = _named_row(request)
    row, file = await _find_row(context, source_name, identity)
    errors = await context.mongo.find(
        ERRORS, {"_id": identity, "source_name": source_name}, max_time_ms=context.time_limit_ms
    )
    if row is None and not errors:
        raise _unknown_row(str(identity))
    if file is None:
        file = await _find_file(context, errors[0]["file_id"])
    lineage = {
        "file": None if file is None else as_file(file), "row": _row_number(row, identity),
        "line": errors[0].get("line") if errors else None,
    }  # fmt: skip
    shape = row_shape(context.schemas[source_name], has_run=True)
    told = {"row": row and shape(row), "lineage": lineage, "errors": errors}
    return json_response(told)


def _named_row(request: web.Request) -> ObjectId:
    text = request.match_info["row_id"]
    if not _ROW_ID.fullmatch(text):
        raise _unknown_row(text)
    return ObjectId(text)


def _unknown_row(text: str) -> RequestRefused:
    return not_found("row", text, hint="rows are named by their _id; see /data/{source_name}")


async def _find_row(
    context: ApiContext, source_name: str, identity: ObjectId
) -> tuple[Document | None, Document | None]:
    """The row and the file that wrote it last; neither where the row may not be seen."""
    limit_ms = context.time_limit_ms
    row = await context.mongo.find_one(source_name, {"_id": identity}, max_time_ms=limit_ms)
    if row is None:
        return None, None
    source, run = context.sources[source_name], row["processed_at"]
    files = await visible_files(context.mongo, source, [run], max_time_ms=limit_ms)
    return (row, files[run]) if run in files else (None, None)


async def _find_file(context: ApiContext, file_id: str) -> Document | None:
    return await context.mongo.find_one(FILES, {"_id": file_id}, max_time_ms=context.time_limit_ms)


def _row_number(row: Document | None, identity: ObjectId) -> int:
    """An upserted row keeps the ``_id`` of the first that had its key; its version counts."""
    last = identity if row is None else row.get("_version", identity)
    return int.from_bytes(last.binary[-_ROW_BYTES:], "big")
