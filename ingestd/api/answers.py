"""Lists as answers: one page with a ``Link`` to the next (RFC 8288), or all of it as a stream."""

import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from aiohttp import web

from ingestd.api.cursors import Cursor, Key, read_cursor, write_cursor
from ingestd.api.formats import JSON, NDJSON
from ingestd.api.query import ListQuery
from ingestd.api.rows import Item, Renderer
from ingestd.api.seals import SEALS
from ingestd.api.threads import worked_on
from ingestd.api.walks import Batch, Walk, read_all, read_page
from ingestd.export.json_text import to_json
from ingestd.visible import VisibleRuns

STREAM = web.RequestKey("stream", web.StreamResponse)
"""The answer whose first bytes are sent: from then on a failure can only break the connection."""

_BATCH_ROWS = 500
"""A few milliseconds of work in a thread."""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class Listing(Protocol):
    """What is listed. ``runs``: what the reader of rows may see, so that a cursor remembers it."""

    runs: VisibleRuns | None

    @property
    def render(self) -> Renderer:
        """Documents as the items that stand for them."""

    async def walk(self, after: Key | None) -> Walk | None:
        """The way on after a key; ``None`` when there is nothing at all."""

    async def kept(self, items: list[Item]) -> list[Item]:
        """Those of the items read that may be shown."""

    def as_json(self, items: list[Item]) -> bytes:
        """The items as one JSON document."""


@dataclass(slots=True)
class PlainListing:
    """Documents shown one by one, as they are."""

    first: Walk
    render: Renderer
    runs: VisibleRuns | None = None

    async def walk(self, after: Key | None) -> Walk | None:
        """The same walk, further on."""
        return replace(self.first, after=after)

    async def kept(self, items: list[Item]) -> list[Item]:
        """All of them."""
        return items

    def as_json(self, items: list[Item]) -> bytes:
        """A JSON array."""
        return b"[" + b",".join(item.text for item in items) + b"]"


def json_response(body: object, status: int = 200) -> web.Response:
    """An answer that is one JSON document."""
    return web.Response(body=to_json(body), status=status, content_type=JSON.content_type)


async def answer_list(
    request: web.Request, query: ListQuery, listing: Listing
) -> web.StreamResponse:
    """The list as JSON or NDJSON."""
    if query.limit is None:
        return await _stream(request, listing, await begin_walk(request, query, listing))
    return await answer_page(request, query, listing)


async def answer_page(request: web.Request, query: ListQuery, listing: Listing) -> web.Response:
    """One page of it."""
    after = await begin_walk(request, query, listing)
    page = await next_page(request, query, listing, after)
    items = [] if page.batch is None else await _read_items(listing, page.batch)
    body = listing.as_json(items) if query.format is JSON else as_lines(items)
    return web.Response(body=body, headers={"Content-Type": query.format.content_type, **page.link})


async def begin_walk(request: web.Request, query: ListQuery, listing: Listing) -> Key | None:
    """Where the walk goes on, as the cursor says; the listing remembers what it may see."""
    if query.cursor is None:
        return None
    cursor = read_cursor(query.cursor, await request.app[SEALS].seal(query.scope))
    listing.runs = cursor.runs
    return cursor.key


@dataclass(frozen=True, slots=True)
class LinkedPage:
    """The documents of one page, if there are any, and the header that leads to the next."""

    batch: Batch | None = None
    link: Mapping[str, str] = field(default_factory=dict)


async def next_page(
    request: web.Request, query: ListQuery, listing: Listing, after: Key | None
) -> LinkedPage:
    """The page after a key."""
    walk = await listing.walk(after)
    if walk is None:
        return LinkedPage()
    page = await read_page(walk, query.limit or 0)
    if page.rest_after is None:
        return LinkedPage(page.documents)
    seal = await request.app[SEALS].seal(query.scope)
    cursor = write_cursor(Cursor(page.rest_after, listing.runs), seal)
    return LinkedPage(page.documents, {"Link": f'<{_following(request, cursor)}>; rel="next"'})


async def _read_items(listing: Listing, batch: Batch) -> list[Item]:
    return await listing.kept(await worked_on(batch.documents, listing.render))


def _following(request: web.Request, cursor: str) -> str:
    """The URL of the next page, absolute where the client told a decent name of this host."""
    path = request.rel_url.update_query(cursor=cursor)
    return (
        f"{request.scheme}://{request.host}{path}" if _HOST.fullmatch(request.host) else f"{path}"
    )


def as_lines(items: list[Item]) -> bytes:
    """NDJSON: one JSON document per line, the last one ended as well."""
    return b"".join(line for item in items for line in (item.text, b"\n"))


async def _stream(
    request: web.Request, listing: Listing, after: Key | None
) -> web.StreamResponse:  # fmt: skip
    response = web.StreamResponse(headers={"Content-Type": NDJSON.content_type})
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    async with aclosing(read_all(listing.walk, after, _BATCH_ROWS)) as batches:
        batch = await anext(batches, None)  # a failure so far still gets a problem document
        await response.prepare(request)
        request[STREAM] = response
        while batch is not None:
            if items := await _read_items(listing, batch):
                await response.write(as_lines(items))
            batch = await anext(batches, None)
    await response.write_eof()
    return response
