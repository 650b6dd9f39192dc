"""``GET /data/{source_name}``: the rows of completely loaded files, in order of arrival."""

from aiohttp import web

from ingestd.api.answers import answer_list
from ingestd.api.context import CONTEXT
from ingestd.api.exports import answer_rows
from ingestd.api.filters import chosen_columns, column_conditions
from ingestd.api.formats import JSON, ROWS
from ingestd.api.listing import RowListing
from ingestd.api.query import LIST_PARAMETERS, read_list_query
from ingestd.api.sources import named_source

_PARAMETERS = (*LIST_PARAMETERS, "fields", "file_id")


async def get_data(request: web.Request) -> web.StreamResponse:
    """Rows of one source: a list of runs (files), or flat."""
    context, source_name = request.app[CONTEXT], named_source(request)
    query, schema = read_list_query(request, ROWS), context.schemas[source_name]
    columns = chosen_columns(query.filters.pop("fields", None), schema)
    file_id = query.filters.pop("file_id", None)
    conditions = column_conditions(query.filters.items(), schema, _PARAMETERS)
    listing = RowListing(context, source_name, query, columns, conditions)
    if file_id is not None:
        await listing.keep_to_file(file_id)
    answer = answer_list if query.format is JSON else answer_rows
    return await answer(request, query, listing)
