"""Around every request that changes something: it is recorded, and sent twice is done once.

``Idempotency-Key`` as in draft-ietf-httpapi-idempotency-key-header: the same key gives the same
answer. A key belongs to whoever sent it. A page of another site cannot ask for anything: a browser
tells where a request comes from.
"""

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from ingestd.api.admission import PRINCIPAL, asked_by
from ingestd.api.bodies import read_body
from ingestd.api.context import CONTEXT
from ingestd.api.problems import ProblemDocument, RequestRefused, shown
from ingestd.ledger import Asking, Trail
from ingestd.mongo import Document

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEY = "Idempotency-Key"
_USABLE_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@web.middleware
async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record a POST and its answer; give the answer that is recorded to one that comes again."""
    if request.method != hdrs.METH_POST or request.match_info.http_exception is not None:
        return await handler(request)
    _refuse_foreign(request)
    context = request.app[CONTEXT]
    trail, asked = Trail(context.mongo, context.settings.keep_audit), await _read(request)
    known = await trail.begin(asked)
    if known is not None:
        return _again(known, asked)
    response = await handler(request)
    assert isinstance(response, web.Response)
    if response.status < 500:
        await trail.end(asked, response.status, _bytes(response.body))
    else:
        await trail.give_up(asked, response.status)
    return response


def _refuse_foreign(request: web.Request) -> None:
    """Browsers send the origin of the page with every POST (Fetch, section 3.2)."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise RequestRefused(
            ProblemDocument(
                403, "foreign-origin", "Not from there",
                f"a page of {shown(origin)} may not change anything here",
            )
        )  # fmt: skip


async def _read(request: web.Request) -> Asking:
    body = await read_body(request)
    key = request.headers.get(_KEY)
    if key is not None and not _USABLE_KEY.fullmatch(key):
        detail = f"{_KEY} has to be 1 to 255 visible characters"
        raise RequestRefused(ProblemDocument(400, "bad-key", "Bad key", detail))
    what = f"{request.method} {request.path}"
    return Asking(
        identity=uuid.uuid4().hex if key is None else f"{request[PRINCIPAL].id} {key}",
        by=asked_by(request), what=what, options=body.decode("utf-8", "backslashreplace"),
        fingerprint=hashlib.sha256(what.encode("utf-8", "replace") + b"\0" + body).hexdigest(),
    )  # fmt: skip


def _again(known: Document, asked: Asking) -> web.Response:
    if known["fingerprint"] != asked.fingerprint:
        problem = ProblemDocument(
            422, "key-reused", "Key of another request",
            f"this {_KEY} came with another request before: {known['what']}",
            "take a new key for every request",
        )  # fmt: skip
        raise RequestRefused(problem)
    if known["status"] is None:
        problem = ProblemDocument(
            409, "under-way", "Under way", "the same request is still under way", "ask again",
            headers={hdrs.RETRY_AFTER: "2"},
        )  # fmt: skip
        raise RequestRefused(problem)
    kind = "application/json" if known["status"] < 400 else "application/problem+json"
    return web.Response(
        status=known["status"], body=known["answer"], content_type=kind,
        headers={"Idempotent-Replayed": "true"},
    )  # fmt: skip


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else b""
