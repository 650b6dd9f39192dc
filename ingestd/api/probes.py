"""``/health``, ``/health/live``, ``/health/ready``, ``/metrics`` and the index.

They answer from memory: a probe must not wait for MongoDB, nor for a busy disk.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from ingestd import __version__
from ingestd.api.admission import PRINCIPAL
from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT
from ingestd.api.health import HealthReport
from ingestd.api.query import refuse_parameters

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def get_health(request: web.Request) -> web.Response:
    """Every dependency and source; 503 when one of them fails."""
    refuse_parameters(request)
    report = HealthReport(request.app[CONTEXT].checks())
    return json_response(report.as_document(), 200 if report.is_ok else 503)


async def get_live(request: web.Request) -> web.Response:
    """Whether work moves on; if not, a restart is due."""
    refuse_parameters(request)
    is_alive = request.app[CONTEXT].is_alive()
    return json_response({"status": "alive" if is_alive else "stuck"}, 200 if is_alive else 503)


async def get_ready(request: web.Request) -> web.Response:
    """Whether requests for data make sense now."""
    refuse_parameters(request)
    context = request.app[CONTEXT]
    reasons = [] if context.is_ready() else ["starting or stopping"]
    if context.mongo.is_away_since is not None:
        reasons.append("MongoDB is away")
    status = "not ready" if reasons else "ready"
    return json_response({"status": status, "reasons": reasons}, 503 if reasons else 200)


async def get_metrics(request: web.Request) -> web.StreamResponse:
    """All metrics in the format that the scraper asks for."""
    registry = request.app[CONTEXT].events.metrics.registry
    return await make_aiohttp_handler(registry)(request)


def index_of(templates: list[str]) -> Handler:
    """``/``: what there is."""

    async def get_index(request: web.Request) -> web.Response:
        refuse_parameters(request)
        sources = list(filter(request[PRINCIPAL].knows, request.app[CONTEXT].sources))
        return json_response(
            {"name": "ingestd", "version": __version__, "urls": templates, "sources": sources}
        )

    return get_index
