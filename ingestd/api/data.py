"""``GET /data/{source_name}``: the rows of completely loaded files, in order of arrival."""

from functools import partial

from aiohttp import hdrs, web

from ingestd.api.answers import Asked, Page, begin_walk
from ingestd.api.codings import choose_coding
from ingestd.api.envelope import Envelope
from ingestd.api.exports import Export, send_rows
from ingestd.api.formats import JSON, PARQUET, ROWS, Format
from ingestd.api.listing import RowListing, read_listing
from ingestd.api.options import OPTIONS, take_options
from ingestd.api.query import LIST_PARAMETERS, read_list_query
from ingestd.api.validators import is_known, tag_headers, tag_of
from ingestd.export import Plan
from ingestd.mongo import Reads

_PARAMETERS = (*LIST_PARAMETERS, "fields", "file_id", "sort", *OPTIONS)


async def get_data(request: web.Request) -> web.StreamResponse:
    """Rows of one source: a list of runs (files), or flat."""
    query = read_list_query(request, ROWS)
    options = take_options(query.filters, query.format)
    listing = await read_listing(request, query, _PARAMETERS)
    asked = await begin_walk(request, query, listing)
    tag, page = await listing.context.mongo.read_together(partial(_read, asked, listing))
    if is_known(request, tag):
        return web.Response(status=304, headers=tag_headers(tag))
    envelope = Envelope({**tag_headers(tag), **_named(listing)}, _coding(request, query.format))
    if query.format is not JSON:
        plan = Plan(query.format.name, listing.columns, listing.is_open, **options)
        export = Export(listing, plan)
        if query.limit is None:
            return await send_rows(request, export, envelope, asked.after)
        page = await export.as_whole(page)
    return await envelope.around(page.as_response(query))


async def _read(asked: Asked, listing: RowListing, reads: Reads) -> tuple[str | None, Page]:
    """The tag, and the page if there is one to be sent."""
    tag = await tag_of(asked.request, listing, reads)
    if asked.query.limit is None or is_known(asked.request, tag):
        return tag, Page()
    read = asked.read_text if asked.query.format is JSON else asked.read_page
    return tag, await read(reads)


def _named(listing: RowListing) -> dict[str, str]:
    """What a file of the rows is called (RFC 6266); names of sources need no quoting."""
    if listing.query.format is JSON:
        return {}
    name = f"{listing.source_name}.{listing.query.format.name}"
    return {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}


def _coding(request: web.Request, form: Format) -> str | None:
    """Parquet is compressed already."""
    accepted = ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    return None if form is PARQUET else choose_coding(accepted)
