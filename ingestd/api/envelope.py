"""What goes around the rows of an answer: headers, and the compression of its body."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web

from ingestd.api.codings import CODINGS, LEAST_BYTES, Compressor
from ingestd.api.threads import worked_on


@dataclass(frozen=True, slots=True)
class Envelope:
    """``coding``: how the body is compressed, where that is worth it."""

    headers: Mapping[str, str]
    coding: str | None = None

    async def around(self, response: web.Response) -> web.Response:
        """An answer that is there as a whole."""
        response.headers.update(self.headers)
        body = response.body
        if self.coding is not None and isinstance(body, bytes) and len(body) >= LEAST_BYTES:
            response.headers[hdrs.CONTENT_ENCODING] = self.coding
            compressor = CODINGS[self.coding]()
            response.body = await worked_on(body, partial(_compressed, compressor))
        return response

    def begin_stream(self, headers: Mapping[str, str]) -> tuple[web.StreamResponse, Compressor]:
        """An answer that is sent piece by piece, and what its pieces go through."""
        response = web.StreamResponse(headers={**headers, **self.headers})
        if self.coding is None:
            return response, _AsItIs()
        response.headers[hdrs.CONTENT_ENCODING] = self.coding
        return response, CODINGS[self.coding]()


def _compressed(compressor: Compressor, body: bytes) -> bytes:
    return compressor.compress(body) + compressor.flush()


class _AsItIs:
    """No compression."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""
