"""The routes, and the application made of them."""

from aiohttp import web

from ingestd.api import (
    actions,
    admission,
    audit,
    data,
    docs,
    files,
    lineage,
    middleware,
    openapi,
    probes,
    rejections,
    schemas,
    sources,
    summaries,
    uploads,
)
from ingestd.api.context import CONTEXT, ApiContext
from ingestd.api.seals import SEALS, Seals
from ingestd.api.turns import EXPORTS, QUERIES, Turns, in_turn

ROUTES: dict[str, probes.Handler] = {
    "/data/{source_name}": in_turn(data.get_data),
    "/data/{source_name}/count": in_turn(summaries.get_count),
    "/data/{source_name}/aggregate": in_turn(summaries.get_aggregate),
    "/data/{source_name}/schema": schemas.get_schema,
    "/data/{source_name}/{row_id}": in_turn(lineage.get_row),
    "/errors/{source_name}": in_turn(rejections.get_errors),
    "/errors/{source_name}/summary": in_turn(rejections.get_summary),
    "/files": in_turn(files.get_files),
    "/files/{file_id}": in_turn(files.get_file),
    "/files/{file_id}/receipt": actions.get_receipt,
    "/files/{file_id}/audit": actions.get_audit,
    "/sources": in_turn(sources.get_sources),
    "/sources/{source_name}": in_turn(sources.get_source),
    "/health": probes.get_health,
    "/health/live": probes.get_live,
    "/health/ready": probes.get_ready,
    "/metrics": probes.get_metrics,
    "/openapi.json": openapi.get_openapi,
    "/docs": docs.get_docs,
}
"""Every endpoint that is read; all of them answer GET and HEAD."""

POSTS: dict[str, probes.Handler] = {
    **{f"/files/{{file_id}}/{action}": handler for action, handler in actions.HANDLERS.items()},
    "/sources/{source_name}/pause": sources.pause_source,
    "/sources/{source_name}/resume": sources.resume_source,
}
"""Every endpoint that changes something."""

PUTS: dict[str, probes.Handler] = {"/ingest/{source_name}/{file_name}": uploads.put_file}
"""Every endpoint that takes a file."""


def create_app(context: ApiContext) -> web.Application:
    """The HTTP API over what the daemon gives it."""
    app = web.Application(
        middlewares=[
            middleware.observe,
            middleware.explain,
            middleware.meet_origins,
            admission.admit,
            audit.remember,
            middleware.explain,  # once more, inside: refusals are remembered as well
        ],
        client_max_size=context.settings.max_body,
    )
    app[CONTEXT] = context
    app[admission.DOOR] = admission.Door(context.settings, context.desk.settings.paths.root)
    app[SEALS] = Seals(context.mongo)
    app[QUERIES] = Turns(context.settings.queries_at_once, "api.queries_at_once")
    app[EXPORTS] = Turns(context.settings.exports_at_once, "api.exports_at_once")
    app.on_response_prepare.append(middleware.complete_headers)
    app.router.add_get("/", probes.index_of([*ROUTES, *POSTS, *PUTS]))
    for template, handler in ROUTES.items():
        app.router.add_get(template, handler)
    for template, handler in POSTS.items():
        app.router.add_post(template, handler)
    for template, handler in PUTS.items():
        app.router.add_put(template, handler, expect_handler=uploads.expect_later)
    return app
