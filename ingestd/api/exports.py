"""Rows in flat forms: a page of them at once, or all of them as a stream.

Three stages work at the same time: a reply of MongoDB is read while a worker renders the one
before, and the client is sent the one before that. Each holds one, so memory is flat, and a
client that reads slowly holds everything back.
"""

import asyncio
import pickle
from array import array
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import anyio
from aiohttp import web
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from ingestd.api.answers import STREAM, Page
from ingestd.api.codings import Compressor
from ingestd.api.cursors import Key
from ingestd.api.envelope import Envelope
from ingestd.api.listing import RowListing
from ingestd.api.turns import EXPORTS
from ingestd.api.walks import Batch, read_all
from ingestd.export import FORMS, Assembler, Piece, Plan, render
from ingestd.workers import run_twice

_BATCH_ROWS = 10_000
"""Some ten milliseconds of work for a worker."""


async def send_rows(
    request: web.Request, export: "Export", envelope: Envelope, after: Key | None
) -> web.StreamResponse:
    """All rows after a key, in the form that was asked for."""
    with request.app[EXPORTS].one():
        return await _Stream(request, export, envelope).send(after)


@dataclass(frozen=True, slots=True)
class Export:
    """What becomes of the rows of one listing."""

    listing: RowListing
    plan: Plan

    @property
    def assembler(self) -> Assembler:
        """A new one: it has a file to make."""
        return FORMS[self.plan.form].assembler(self.plan)

    async def as_whole(self, page: Page) -> Page:
        """A page whose text is a finished file with its rows."""
        assembler, piece = self.assembler, Piece(b"", 0, frozenset())
        if page.batch is not None:
            piece = await self.render(page.batch)
        rows = assembler.add(piece.octets)
        return replace(page, text=assembler.begin() + rows + assembler.end(piece.row_count))

    async def render(self, batch: Batch) -> Piece:
        """The rows of a batch, without those whose file was undone before it was read."""
        piece = await self._render(batch, frozenset())
        hidden = piece.runs - await self.listing.visible(piece.runs)
        return await self._render(batch, hidden) if hidden else piece

    async def _render(self, batch: Batch, hidden: frozenset[datetime]) -> Piece:
        edges = array("q", batch.edges).tobytes()
        task = (render, pickle.dumps(self.plan), batch.documents, edges, hidden)
        with anyio.CancelScope(shield=True):  # a worker whose task is cancelled is killed
            piece: Piece = await run_twice(self.listing.context.desk.workers, *task)
        return piece


@dataclass(slots=True)
class _Stream:
    """One endless answer. A stage closes its end when all is handed on, and only then: else a
    failure could look like the end of the rows."""

    request: web.Request
    export: Export
    envelope: Envelope

    async def send(self, after: Key | None) -> web.StreamResponse:
        """All rows after a key."""
        headers = self.export.listing.query.format.header
        response, compressor = self.envelope.begin_stream(headers)
        if self.request.method == "HEAD":
            await response.prepare(self.request)
            return response
        batch_out, batch_in = anyio.create_memory_object_stream[Batch]()
        piece_out, piece_in = anyio.create_memory_object_stream[Piece]()
        with batch_out, batch_in, piece_out, piece_in, _first_alone():
            async with anyio.create_task_group() as group:
                group.start_soon(self._read, after, batch_out, name="export: read")
                group.start_soon(self._render, batch_in, piece_out, name="export: render")
                await _Sending(self.request, response, compressor, self.export).run(piece_in)
        return response

    async def _read(self, after: Key | None, outbox: ObjectSendStream[Batch]) -> None:
        listing = self.export.listing
        walk_on = partial(listing.walk, listing.context.mongo)
        async with aclosing(read_all(walk_on, after, _BATCH_ROWS)) as batches:
            async for batch in batches:
                await outbox.send(batch)
        await outbox.aclose()

    async def _render(
        self, inbox: ObjectReceiveStream[Batch], outbox: ObjectSendStream[Piece]
    ) -> None:
        async for batch in inbox:
            await outbox.send(await self.export.render(batch))
        await outbox.aclose()


@dataclass(slots=True)
class _Sending:
    """The last stage of a stream: what fails before the first rows are there still gets a problem
    document, for nothing has been sent."""

    request: web.Request
    response: web.StreamResponse
    compressor: Compressor
    export: Export
    row_count: int = 0

    async def run(self, inbox: ObjectReceiveStream[Piece]) -> None:
        """Send all pieces, and what stands above and below."""
        assembler = self.export.assembler
        head = self.compressor.compress(assembler.begin())
        async for piece in inbox:
            self.row_count += piece.row_count
            octets = await asyncio.to_thread(self._pack, assembler, piece)
            await self._send(head + octets)
            head = b""
        await self.export.listing.require_whole()
        end = self.compressor.compress(assembler.end(self.row_count))
        await self._send(head + end + self.compressor.flush())
        await self.response.write_eof()

    def _pack(self, assembler: Assembler, piece: Piece) -> bytes:
        return self.compressor.compress(assembler.add(piece.octets))

    async def _send(self, octets: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self.request)
            self.request[STREAM] = self.response
        if octets:
            await self.response.write(octets)


@contextmanager
def _first_alone() -> Iterator[None]:
    """What one stage raises ends the others; who asked for the rows gets it as it was raised."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
