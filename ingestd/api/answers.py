"""Lists as answers: one page with a ``Link`` to the next (RFC 8288), or all of it as a stream."""

import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from aiohttp import web

from ingestd.api.context import CONTEXT
from ingestd.api.cursors import Cursor, Key, Seal, read_cursor, write_cursor
from ingestd.api.formats import JSON, NDJSON
from ingestd.api.problems import bad_parameter
from ingestd.api.query import ListQuery
from ingestd.api.rows import Item, Renderer
from ingestd.api.seals import SEALS
from ingestd.api.walks import Batch, Walk, read_all, read_page
from ingestd.export.json_text import to_json
from ingestd.mongo import Reads
from ingestd.visible import VisibleRuns

STREAM = web.RequestKey("stream", web.StreamResponse)
"""The answer whose first bytes are sent: from then on a failure can only break the connection."""

_BATCH_ROWS = 500
"""A few milliseconds of work in a thread."""
_AROUND_URL = len("HEAD  HTTP/1.1")
"""What else stands in the line whose length ``api.max_url`` limits."""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class Listing(Protocol):
    """What is listed. ``runs``: what the reader of rows may see, so that a cursor remembers it."""

    runs: VisibleRuns | None

    @property
    def render(self) -> Renderer:
        """Documents as the items that stand for them."""

    async def walk(self, reads: Reads, after: Key | None) -> Walk | None:
        """The way on after a key; ``None`` when there is nothing at all."""

    async def kept(self, reads: Reads, items: list[Item]) -> list[Item]:
        """Those of the items read that may be shown."""

    def shown(self, items: list[Item]) -> object:
        """The items as one JSON document."""


@dataclass(slots=True)
class PlainListing:
    """Documents shown one by one, as they are."""

    first: Walk
    render: Renderer
    runs: VisibleRuns | None = None

    async def walk(self, reads: Reads, after: Key | None) -> Walk | None:
        """The same walk, further on."""
        return replace(self.first, reads=reads, after=after)

    async def kept(self, _: Reads, items: list[Item]) -> list[Item]:
        """All of them."""
        return items

    def shown(self, items: list[Item]) -> object:
        """A JSON array."""
        return [item.shown for item in items]


def json_response(body: object, status: int = 200) -> web.Response:
    """An answer that is one JSON document."""
    return web.Response(body=to_json(body), status=status, content_type=JSON.content_type)


async def answer_list(
    request: web.Request, query: ListQuery, listing: Listing
) -> web.StreamResponse:
    """The list as JSON or NDJSON."""
    asked = await begin_walk(request, query, listing)
    if query.limit is None:
        return await _stream(asked)
    page = await request.app[CONTEXT].mongo.read_together(asked.read_text)
    return page.as_response(query)


@dataclass(frozen=True, slots=True)
class Page:
    """The documents of one page, if there are any, and the header that leads to the next."""

    batch: Batch | None = None
    link: Mapping[str, str] = field(default_factory=dict)
    text: bytes = b""

    def as_response(self, query: ListQuery) -> web.Response:
        """Its text as an answer."""
        return web.Response(body=self.text, headers={**query.format.header, **self.link})


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what of a list, and after which key. What reads is for ``read_together``."""

    request: web.Request
    query: ListQuery
    listing: Listing
    after: Key | None
    seal: Seal

    async def read_page(self, reads: Reads) -> Page:
        """One page as documents."""
        walk = await self.listing.walk(reads, self.after)
        if walk is None:
            return Page()
        found = await read_page(walk, self.query.limit or 0)
        if found.rest_after is None:
            return Page(found.documents)
        cursor = write_cursor(Cursor(found.rest_after, self.listing.runs), self.seal)
        following = f'<{_following(self.request, cursor)}>; rel="next"'
        return Page(found.documents, {"Link": following})

    async def read_text(self, reads: Reads) -> Page:
        """One page with its text."""
        page = await self.read_page(reads)
        items = [] if page.batch is None else await self._items(reads, page.batch)
        is_json = self.query.format is JSON
        text = to_json(self.listing.shown(items)) if is_json else _as_lines(items)
        return replace(page, text=text)

    async def read_lines(self, reads: Reads, batch: Batch) -> bytes:
        """NDJSON of some documents of the list."""
        return _as_lines(await self._items(reads, batch))

    async def _items(self, reads: Reads, batch: Batch) -> list[Item]:
        return await self.listing.kept(reads, self.listing.render(batch.documents))


async def begin_walk(request: web.Request, query: ListQuery, listing: Listing) -> Asked:
    """Where the walk goes on, as the cursor says; the listing remembers what it may see."""
    seal = await request.app[SEALS].seal(query.scope)
    if query.cursor is None:
        return Asked(request, query, listing, None, seal)
    cursor = read_cursor(query.cursor, seal)
    listing.runs = cursor.runs
    return Asked(request, query, listing, cursor.key, seal)


def _following(request: web.Request, cursor: str) -> str:
    """The URL of the next page, absolute where the client told a decent name of this host.

    Raises:
        RequestRefused: 400: nobody could ask for it, as long as it would be.
    """
    path = str(request.rel_url.update_query(cursor=cursor))
    if len(path) + _AROUND_URL > request.app[CONTEXT].settings.max_url:
        detail = "the next page could not be asked for: its URL would be longer than api.max_url"
        raise bad_parameter("limit", detail, "take limit=all with format=ndjson, or another sort")
    return f"{request.scheme}://{request.host}{path}" if _HOST.fullmatch(request.host) else path


def _as_lines(items: list[Item]) -> bytes:
    """NDJSON: one JSON document per line, the last one ended as well."""
    return b"".join(to_json(item.shown) + b"\n" for item in items)


async def _stream(asked: Asked) -> web.StreamResponse:
    request, mongo = asked.request, asked.request.app[CONTEXT].mongo
    response = web.StreamResponse(headers=NDJSON.header)
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    walk_on = partial(asked.listing.walk, mongo)
    async with aclosing(read_all(walk_on, asked.after, _BATCH_ROWS)) as batches:
        batch = await anext(batches, None)  # a failure so far still gets a problem document
        await response.prepare(request)
        request[STREAM] = response
        while batch is not None:
            lines = await mongo.read_together(partial(asked.read_lines, batch=batch))
            await response.write(lines)
            batch = await anext(batches, None)
    await response.write_eof()
    return response
