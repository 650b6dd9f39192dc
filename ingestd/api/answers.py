"""Lists as answers: one page with a ``Link`` to the next (RFC 8288), or all of it as a stream."""

import re
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from aiohttp import web

from ingestd.api.cursors import Cursor, Key, read_cursor, write_cursor
from ingestd.api.formats import JSON
from ingestd.api.query import ListQuery
from ingestd.api.rows import Item, to_json
from ingestd.api.walks import Walk, read_all, read_page
from ingestd.visible import VisibleRuns

STREAM = web.RequestKey("stream", web.StreamResponse)
"""The answer whose first bytes are sent: from then on a failure can only break the connection."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class Listing(Protocol):
    """What is listed. ``runs``: what the reader of rows may see, so that a cursor remembers it."""

    runs: VisibleRuns | None

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
    """The list in the form that was asked for."""
    after = None
    if query.cursor is not None:
        cursor = read_cursor(query.cursor, query.scope)
        after, listing.runs = cursor.key, cursor.runs
    if query.limit is None:
        return await _stream(request, listing, after)
    return await _answer_page(request, query, listing, after)


async def _answer_page(
    request: web.Request, query: ListQuery, listing: Listing, after: Key | None
) -> web.Response:
    walk = await listing.walk(after)
    items: list[Item] = []
    headers = {"Content-Type": query.format.content_type}
    if walk is not None:
        page = await read_page(walk, query.limit or 0)
        items = await listing.kept(page.items)
        if page.rest_after is not None:
            cursor = write_cursor(Cursor(page.rest_after, listing.runs), query.scope)
            headers["Link"] = f'<{_following(request, cursor)}>; rel="next"'
    body = listing.as_json(items) if query.format is JSON else as_lines(items)
    return web.Response(body=body, headers=headers)


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
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    async with aclosing(read_all(listing.walk, after)) as batches:
        batch = await anext(batches, None)  # a failure so far still gets a problem document
        await response.prepare(request)
        request[STREAM] = response
        while batch is not None:
            if items := await listing.kept(batch):
                await response.write(as_lines(items))
            batch = await anext(batches, None)
    await response.write_eof()
    return response
