"""``PUT /ingest/{source_name}/{file_name}``: a file straight into the inbox of its source."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from aiohttp import hdrs, web
from anyio import to_thread

from ingestd.access import Kind
from ingestd.api.admission import asked_by, require
from ingestd.api.answers import json_response
from ingestd.api.bodies import iterate_body, read_digest, refuse_part
from ingestd.api.context import CONTEXT, ApiContext
from ingestd.api.problems import ProblemDocument, RequestRefused, not_found, shown
from ingestd.api.sources import named_source
from ingestd.api.waits import Sent, await_end, read_asked
from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused, FileUnavailable, StoreAway
from ingestd.files import Incoming, displayable, file_id
from ingestd.formats.zips import MAGIC as ZIP
from ingestd.ledger import FILES, Asking, Trail, now
from ingestd.mongo import Document
from ingestd.watch.patterns import compile_names, compile_pattern
from ingestd.wayback import Replacement, note_replacement, require_replaceable

_WRITE_BYTES = 2**20


async def put_file(request: web.Request) -> web.Response:
    """Store a file; 202 with where to ask for it, or 200 with what became of it after ``wait``."""
    context, asked = request.app[CONTEXT], read_asked(request)
    refuse_part(request)
    source = context.sources[named_source(request)]
    target = _target(context, source, request.match_info["file_name"])
    old = await _find_replaced(request, source, asked.replaces)
    sent = Sent(source.name, target, now())
    incoming = await _receive(request, target, old)
    if source.done_marker is not None:
        target.with_name(target.name + source.done_marker).touch()
    context.events.file_received(source.name, target, incoming.size_bytes, asked_by(request))
    await _note(request, incoming)
    ended = await await_end(context, sent, asked.wait_s)
    return _accepted(source.name, incoming) if ended is None else json_response(ended)


def _accepted(source_name: str, incoming: Incoming) -> web.Response:
    identity = file_id(source_name, incoming.sha256)
    answer = json_response(
        {
            "file_id": identity, "source_name": source_name, "file": incoming.target.name,
            "size_bytes": incoming.size_bytes, "sha256": incoming.sha256.hex(),
            "url": f"/files/{identity}", "receipt": f"/files/{identity}/receipt",
        },
        202,
    )  # fmt: skip
    answer.headers[hdrs.LOCATION] = f"/files/{identity}"
    return answer


# what is asked for


def _target(context: ApiContext, source: SourceSpec, name: str) -> Path:
    """Where the file is to lie; the watcher has to find it there, and nothing else."""
    paths, ignore = context.desk.settings.paths, context.desk.settings.watch.ignore
    pattern = compile_pattern(source.file_pattern, paths.inbox)
    suffix = source.manifest.suffix if source.manifest else ""
    data_name = name.removesuffix(suffix)
    is_safe = name.isprintable() and "/" not in name and not name.startswith(".")
    if not is_safe or not data_name or len(os.fsencode(name)) > 255 - len(suffix):
        raise _bad_name(source, f"{shown(name)!r} cannot be the name of a file here")
    if not pattern.matches((data_name,)) or compile_names(ignore)(name):
        raise _bad_name(source, f"{shown(name)!r} is no file of {source.name}")
    return pattern.base / name


def _bad_name(source: SourceSpec, detail: str) -> RequestRefused:
    members = {"file_pattern": source.file_pattern}
    hint = "a plain name that fits the pattern, without directories and dots in front"
    return RequestRefused(ProblemDocument(400, "bad-name", "Bad file name", detail, hint, members))


async def _find_replaced(
    request: web.Request, source: SourceSpec, replaces: str | None
) -> Document | None:  # fmt: skip
    """The entry of the file in whose place the new one is to be seen."""
    if replaces is None:
        return None
    context = request.app[CONTEXT]
    require(request, (Kind.OPERATE,))
    if context.mongo.is_away_since is not None:
        raise StoreAway("MongoDB is away")
    match = {"_id": replaces, "source_name": source.name}
    old = await context.mongo.find_one(FILES, match, max_time_ms=context.time_limit_ms)
    if old is None:
        raise not_found("file", replaces, hint=f"see /files?source={source.name} for what there is")
    require_replaceable(context.desk, old)
    return old


async def _note_replacement(request: web.Request, old: Document, incoming: Incoming) -> None:
    """Before it lies in the inbox, so that a crash between the two cannot make it a file of its
    own."""
    desk = request.app[CONTEXT].desk
    source = desk.sources[old["source_name"]]
    if incoming.head.startswith(ZIP) and source.format != "excel":
        raise ActionRefused("an archive cannot replace a file", "send the file that is in it")
    identity = file_id(source.name, incoming.sha256)
    new = Replacement(identity, displayable(incoming.target.name))
    await note_replacement(desk, old, asked_by(request), new)


async def _note(request: web.Request, incoming: Incoming) -> None:
    """Leave it in the audit trail. While MongoDB is away only the log tells of it: a file that is
    safe in the inbox is not refused for that."""
    context, digest = request.app[CONTEXT], incoming.sha256.hex()
    asked = Asking(
        identity=uuid.uuid4().hex, by=asked_by(request), what=f"PUT {request.path}",
        fingerprint=digest, options=f'{{"size_bytes": {incoming.size_bytes}}}',
    )  # fmt: skip
    if context.mongo.is_away_since is None:
        with suppress(StoreAway):
            await Trail(context.mongo, context.settings.keep_audit).note(asked, 202)


# receiving


async def _receive(request: web.Request, target: Path, old: Document | None) -> Incoming:
    """The body as that file, complete and durable; of one that is refused nothing is left."""
    digest = read_digest(request)
    if await to_thread.run_sync(os.path.lexists, target):
        raise _taken(target)
    await _invite(request)
    try:
        async with _incoming(target) as incoming:
            await _store(request, incoming)
            if digest is not None and digest != incoming.sha256:
                raise _other_content(incoming)
            if old is not None:
                await _note_replacement(request, old, incoming)
            await to_thread.run_sync(incoming.keep)
    except FileExistsError as error:
        raise _taken(target) from error
    except FileUnavailable as error:
        raise RequestRefused(
            ProblemDocument(507, "cannot-store", "Cannot be stored", error.message, error.hint)
        ) from error
    return incoming


@asynccontextmanager
async def _incoming(target: Path) -> AsyncIterator[Incoming]:
    incoming = Incoming(target)
    await to_thread.run_sync(incoming.begin)
    try:
        yield incoming
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(incoming.end)


async def _store(request: web.Request, incoming: Incoming) -> None:
    waiting = bytearray()
    async for part in iterate_body(request, request.app[CONTEXT].settings.max_upload):
        waiting += part
        if len(waiting) >= _WRITE_BYTES:
            await to_thread.run_sync(incoming.write, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(incoming.write, bytes(waiting))


async def expect_later(request: web.Request) -> None:
    """``100 Continue`` (RFC 9110, 10.1.1) only goes out when nothing is wrong with the head."""


async def _invite(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer is sent yet


def _taken(target: Path) -> RequestRefused:
    detail = f"a file {target.name!r} is in the inbox already"
    hint = "try again when it is loaded, or take another name"
    return RequestRefused(ProblemDocument(409, "name-taken", "Name taken", detail, hint))


def _other_content(incoming: Incoming) -> RequestRefused:
    members = {"sha256": incoming.sha256.hex(), "size_bytes": incoming.size_bytes}
    detail = "the body is not what Content-Digest says; nothing of it was kept"
    return RequestRefused(
        ProblemDocument(
            400, "other-content", "Damaged on its way", detail, "send it again", members
        )
    )
