"""What comes over a connection and cannot be read as HTTP: refused in the form of all refusals."""

import uuid

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from ingestd.api.problems import ProblemDocument


class Protocol(web.RequestHandler):
    """aiohttp's own, but for that."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with a problem document, and end the connection."""
        plain = super().handle_error(request, status, exc, message)
        if not isinstance(exc, BadHttpMessage):
            return plain
        response = unreadable(exc).as_response(uuid.uuid4().hex)
        response.headers[hdrs.SERVER] = "ingestd"  # else aiohttp tells its version, and Python's
        response.force_close()
        return response


def unreadable(error: BadHttpMessage) -> ProblemDocument:
    """400; what was sent is not repeated, for it may be anything."""
    if isinstance(error, LineTooLong):
        return ProblemDocument(
            400, "head-too-large", "Head too large", "a line of the request's head is too long",
            "the limits are api.max_url and api.max_header",
        )  # fmt: skip
    detail = "the request cannot be read: it is not HTTP/1.1 as RFC 9112 has it"
    return ProblemDocument(400, "not-http", "Not HTTP", detail)
