"""Pages of other origins that may read (Fetch standard, section 3.2); none by default.

Reading only: what changes something is refused to them, see ``actions``.
"""

from aiohttp import hdrs, web

from ingestd.api.context import CONTEXT

_ANY = "*"
_READING = ("GET", "HEAD")
_READABLE = "Link, ETag, Content-Disposition, Retry-After, X-Request-Id"
_PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(_READING),
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Accept, Authorization, If-None-Match, X-Request-Id",
    hdrs.ACCESS_CONTROL_MAX_AGE: "3600",
}


def origin_headers(request: web.Request) -> dict[str, str]:
    """The headers that let a page of an allowed origin read the answer."""
    allowed, origin = request.app[CONTEXT].settings.cors_origins, request.headers.get(hdrs.ORIGIN)
    if origin is None or not {origin, _ANY} & set(allowed):
        return {}
    return {
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: _ANY if _ANY in allowed else origin,
        hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: _READABLE,
    }


def preflight_answer(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks first; ``None`` when this is no such question."""
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != "OPTIONS" or asked not in _READING or not origin_headers(request):
        return None
    return web.Response(status=204, headers=_PREFLIGHT)
