"""Bodies of requests: read within limits of size and time, and never unpacked."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import hdrs, web

from ingestd.api.context import CONTEXT
from ingestd.api.problems import (
    ProblemDocument,
    RequestRefused,
    bad_option,
    choices,
    shown,
)

Options = Mapping[str, Callable[[object], object]]
"""By its name in the body what each option is read by."""

_BODY = web.RequestKey("body", bytes)
_SLOWEST_BYTES_S = 1024
"""Whoever sends less may have no end in mind; a modem was faster."""


async def read_body(request: web.Request) -> bytes:
    """The whole body of a request that sends no file; it is kept, to be read once more.

    Raises:
        RequestRefused: 408, 413 or 415.
    """
    if _BODY not in request:
        most_bytes = request.app[CONTEXT].settings.max_body
        request[_BODY] = b"".join([part async for part in iterate_body(request, most_bytes)])
    return request[_BODY]


async def read_options(request: web.Request, options: Options) -> dict[str, object]:
    """The options of the action: an object in JSON, or nothing."""
    given = _read_object(await read_body(request))
    for name in given:
        if name not in options:
            raise bad_option(name, "there is no such option", more=choices(name, options))
    return {name: options[name](value) for name, value in given.items()}


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise bad_option("body", "it has to be a JSON object, or empty")
    return given


async def iterate_body(request: web.Request, most_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes; ends early by the same refusals."""
    _refuse_packed(request)
    if (request.content_length or 0) > most_bytes:
        raise too_large(most_bytes)
    loop, received = asyncio.get_running_loop(), 0
    deadline = loop.time() + request.app[CONTEXT].settings.stall_timeout
    while True:
        try:
            async with asyncio.timeout_at(deadline + received / _SLOWEST_BYTES_S):
                part = await request.content.readany()
        except TimeoutError as error:
            raise _too_slow() from error
        if not part:
            return
        received += len(part)
        if received > most_bytes:
            raise too_large(most_bytes)
        yield part


def _refuse_packed(request: web.Request) -> None:
    """A few bytes could unpack to gigabytes."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding != "identity":
        raise RequestRefused(
            ProblemDocument(
                415, "content-encoding", "Not unpacked here",
                f"a body with Content-Encoding {shown(encoding)} is not taken",
                "send it as it is; files may be compressed themselves, as .gz, .zst, …",
                headers={hdrs.ACCEPT_ENCODING: "identity"},
            )
        )  # fmt: skip


def refuse_part(request: web.Request) -> None:
    """A part of a file would be taken for all of it (RFC 9110, section 14.5).

    Raises:
        RequestRefused: 400.
    """
    if hdrs.CONTENT_RANGE in request.headers:
        detail, hint = "a file cannot be sent in parts", "send all of it, without Content-Range"
        raise RequestRefused(ProblemDocument(400, "content-range", "Only a part", detail, hint))


def too_large(most_bytes: int) -> RequestRefused:
    """413."""
    detail = f"the body is larger than {most_bytes} bytes"
    return RequestRefused(
        ProblemDocument(413, "too-large", "Too large", detail, members={"limit_bytes": most_bytes})
    )


def _too_slow() -> RequestRefused:
    return RequestRefused(
        ProblemDocument(
            408, "too-slow", "Too slow", "the body did not come in time", "see api.stall_timeout",
            headers={hdrs.CONNECTION: "close"},
        )
    )  # fmt: skip


def read_digest(request: web.Request) -> bytes | None:
    """SHA-256 of the body as ``Content-Digest`` says (RFC 9530), 32 bytes; None: nothing said.

    Raises:
        RequestRefused: 400, it says something that cannot be checked.
    """
    given = ",".join(request.headers.getall("Content-Digest", ()))
    if not given:
        return None
    found = re.search(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:,|$)", given)
    if found is None:
        raise RequestRefused(
            ProblemDocument(
                400, "bad-digest", "Bad Content-Digest", "only sha-256 can be checked",
                "write it as sha-256=:<base64>:", {"allowed": ["sha-256"]},
            )
        )  # fmt: skip
    return base64.b64decode(found[1])
