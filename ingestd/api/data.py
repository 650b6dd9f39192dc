"""``GET /data/{source_name}``: the rows of completely loaded files, in order of arrival."""

from aiohttp import hdrs, web

from ingestd.api.answers import answer_page
from ingestd.api.codings import choose_coding
from ingestd.api.envelope import Envelope
from ingestd.api.exports import Export, answer_rows
from ingestd.api.formats import JSON, PARQUET, ROWS, Format
from ingestd.api.listing import RowListing, read_listing
from ingestd.api.options import OPTIONS, take_options
from ingestd.api.query import LIST_PARAMETERS, read_list_query
from ingestd.api.validators import is_known, tag_headers, tag_of
from ingestd.export import Plan

_PARAMETERS = (*LIST_PARAMETERS, "fields", "file_id", "sort", *OPTIONS)


async def get_data(request: web.Request) -> web.StreamResponse:
    """Rows of one source: a list of runs (files), or flat."""
    query = read_list_query(request, ROWS)
    options = take_options(query.filters, query.format)
    listing = await read_listing(request, query, _PARAMETERS)
    tag = await tag_of(request, listing)
    if is_known(request, tag):
        return web.Response(status=304, headers=tag_headers(tag))
    envelope = Envelope({**tag_headers(tag), **_named(listing)}, _coding(request, query.format))
    if query.format is JSON:
        return await envelope.around(await answer_page(request, query, listing))
    plan = Plan(query.format.name, listing.columns, listing.is_open, **options)
    return await answer_rows(request, query, Export(listing, plan), envelope)


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
