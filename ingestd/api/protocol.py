"""What comes over a connection and cannot be read as HTTP: refused in the form of all refusals."""

import uuid

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_protocol import _ErrInfo

from ingestd.api.problems import ProblemDocument, RequestRefused

_TOO_MANY = "Too many headers"
"""All by which aiohttp tells this mistake from others."""


class Protocol(web.RequestHandler):
    """aiohttp's own, but for that."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Tell it whoever reads the body that cannot be read on: nothing more comes of it."""
        super().data_received(data)
        if not self._messages or not isinstance(error := self._messages[-1][0], _ErrInfo):
            return
        body = self._last_body()
        if body is not None and not body.is_eof():
            self._messages.pop()
            body.set_exception(RequestRefused(unreadable(error.exc)))
            body.feed_eof()
            self.close()

    def _last_body(self) -> StreamReader | None:
        """That of the last request before what cannot be read, if there is one."""
        if len(self._messages) > 1:
            return self._messages[-2][1]
        return None if self._current_request is None else self._current_request.content

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


def unreadable(error: BaseException) -> ProblemDocument:
    """400; what was sent is not repeated, for it may be anything."""
    if isinstance(error, LineTooLong):
        return _too_large("a line of the request's head is too long", "api.max_url, api.max_header")
    if isinstance(error, BadHttpMessage) and error.message.startswith(_TOO_MANY):
        return _too_large("the request has too many headers", "api.max_headers")
    detail = "the request cannot be read: it is not HTTP/1.1 as RFC 9112 has it"
    return ProblemDocument(400, "not-http", "Not HTTP", detail, headers={hdrs.CONNECTION: "close"})


def _too_large(detail: str, limits: str) -> ProblemDocument:
    hint = f"what limits it: {limits}"
    return ProblemDocument(400, "head-too-large", "Head too large", detail, hint)
