"""Around every request: its id, its metrics, and a problem document for whatever goes wrong."""

import re
import socket
import struct
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import hdrs, web

from ingestd.api.answers import STREAM
from ingestd.api.context import CONTEXT
from ingestd.api.cors import origin_headers, preflight_answer
from ingestd.api.problems import ProblemDocument, RequestRefused, choices, shown
from ingestd.errors import (
    ActionRefused,
    ExportRefused,
    FileRefused,
    QueryTooSlow,
    StoreAway,
    StoreRefused,
    UnknownFile,
    WorkerLost,
)
from ingestd.events import naming_request

REQUEST_ID = web.RequestKey("request_id", str)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept, Accept-Encoding, Origin",
    "X-Content-Type-Options": "nosniff",
}
_RETRY_AFTER_S = "5"
_ROWS_HINT = "filter by a column that has an index (load.indexes of the source), or by dates"
_ERRORS_HINT = "filter by file_id (see /files), or by dates: what has no index is looked for there"


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and tell how it was answered."""
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex
    started, status = time.perf_counter(), _CLIENT_GONE
    events = request.app[CONTEXT].events
    with naming_request(request[REQUEST_ID]):
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            events.http_answered(route_of(request), status, time.perf_counter() - started)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what is raised into a problem document, or break a stream that has begun."""
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - the request ends here, whatever it was
        if STREAM not in request:
            return _problem_of(request, error).as_response(request[REQUEST_ID])
        _break_off(request, error)
        return request[STREAM]


@web.middleware
async def meet_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer browsers that ask before they read."""
    return preflight_answer(request) or await handler(request)


async def complete_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers that every answer has; ``Server`` would only tell which holes to try."""
    for name, text in {**_HEADERS, **origin_headers(request)}.items():
        response.headers.setdefault(name, text)
    response.headers.popall(hdrs.SERVER, None)
    if (request_id := request.get(REQUEST_ID)) is not None:
        response.headers["X-Request-Id"] = request_id


def route_of(request: web.Request) -> str:
    """The route's template: a path as it came would make endless metrics."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def _problem_of(request: web.Request, error: Exception) -> ProblemDocument:
    for kind, explain_kind in _EXPLAINED.items():
        if isinstance(error, kind):
            return explain_kind(request, error)
    request.app[CONTEXT].events.http_failed(route_of(request), request[REQUEST_ID], error)
    return ProblemDocument(
        500, "internal", "Internal error", "this is a mistake of ingestd, not yours",
        "the log has the reason under this request_id",
    )  # fmt: skip


def _no_route(request: web.Request, _: object) -> ProblemDocument:
    routes = sorted({resource.canonical for resource in request.app.router.resources()})
    detail = f"there is nothing at {shown(request.path)}"
    members = choices(request.path, routes)
    return ProblemDocument(404, "unknown-route", "Not found", detail, "see /", members)


def _slow_problem(request: web.Request, _: object) -> ProblemDocument:
    limit_s = request.app[CONTEXT].settings.query_timeout
    is_of_errors = route_of(request).startswith("/errors/")
    return ProblemDocument(
        503, "query-too-slow", "The query takes too long",
        f"MongoDB did not find the rows within {limit_s:g} s (api.query_timeout)",
        _ERRORS_HINT if is_of_errors else _ROWS_HINT,
    )  # fmt: skip


def _away_problem(*_: object) -> ProblemDocument:
    detail = "MongoDB does not answer at the moment"
    return _unavailable("mongodb-away", "MongoDB is away", detail, "try again; see /health")


def _refusal_problem(request: web.Request, error: StoreRefused) -> ProblemDocument:
    """MongoDB's words may name hosts and users: they are for the log."""
    request.app[CONTEXT].events.http_failed(route_of(request), request[REQUEST_ID], error)
    return ProblemDocument(
        503, "mongodb-refuses", "MongoDB refuses", "MongoDB does not allow ingestd to do this",
        "tell who runs ingestd: the log has the reason under this request_id",
    )  # fmt: skip


def _worker_problem(_: object, error: WorkerLost) -> ProblemDocument:
    return _unavailable("worker-lost", "No worker", error.message, "try again")


def _form_problem(_: object, error: ExportRefused) -> ProblemDocument:
    title = "Not possible in this form"
    return ProblemDocument(409, "export-refused", title, error.message, error.hint)


def _unavailable(kind: str, title: str, detail: str, hint: str) -> ProblemDocument:
    headers = {"Retry-After": _RETRY_AFTER_S}
    return ProblemDocument(503, kind, title, detail, hint, headers=headers)


def _action_problem(_: object, error: ActionRefused | FileRefused) -> ProblemDocument:
    if isinstance(error, UnknownFile):
        return ProblemDocument(404, "unknown-file", "Unknown file", error.message, error.hint)
    return ProblemDocument(409, "action-refused", "Not possible", error.message, error.hint)


def _http_problem(_: object, error: web.HTTPException) -> ProblemDocument:
    headers: dict[str, str] = {}
    members: dict[str, object] = {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods)
        headers, members = {hdrs.ALLOW: ", ".join(allowed)}, {"allowed": allowed}
    kind = error.reason.lower().replace(" ", "-")
    detail = f"the request was refused: {error.reason}"
    return ProblemDocument(
        error.status, kind, error.reason, detail, members=members, headers=headers
    )


_EXPLAINED: Mapping[type[Exception], Callable[[web.Request, Any], ProblemDocument]] = {
    RequestRefused: lambda _, error: error.problem,
    web.HTTPNotFound: _no_route,
    web.HTTPException: _http_problem,
    ActionRefused: _action_problem,
    FileRefused: _action_problem,
    ExportRefused: _form_problem,
    WorkerLost: _worker_problem,
    QueryTooSlow: _slow_problem,
    StoreAway: _away_problem,
    StoreRefused: _refusal_problem,
}
"""What is raised, and what it is told as; the first that fits. Everything else is our mistake."""


def _break_off(request: web.Request, error: Exception) -> None:
    """End a stream so that the client cannot take it for complete: with a reset.

    A clean end would do only where the length or the last chunk is sent (not in HTTP/1.0).
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        return  # the client went away, which is no failure of ours
    problem = _problem_of(request, error)
    events = request.app[CONTEXT].events
    events.http_broken_off(route_of(request), request[REQUEST_ID], problem.detail)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
