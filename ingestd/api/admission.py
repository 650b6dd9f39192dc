"""Who is let in: the token of a request, and whether its scopes cover what is asked for."""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import hdrs, web

from ingestd.access import ANYBODY, Kind, Principal, Scope, TokenBook, TokenFile, takes_anybody
from ingestd.api.attempts import Attempts
from ingestd.api.context import CONTEXT
from ingestd.api.problems import ProblemDocument, RequestRefused, shown
from ingestd.config.settings import ApiSettings

PRINCIPAL = web.RequestKey("principal", Principal)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = ("/health/live", "/health/ready", "/docs")
"""For those who cannot send a token: process managers, load balancers, browsers."""

KINDS: Mapping[str, tuple[Kind, ...]] = {
    "/": tuple(Kind),
    "/openapi.json": tuple(Kind),
    "/health": (Kind.METRICS,),
    "/metrics": (Kind.METRICS,),
    "/files/{file_id}/receipt": (Kind.READ, Kind.INGEST),
    "/files/{file_id}/audit": (Kind.OPERATE,),
}
"""Routes for which one of these scopes will do; all others go by their method."""

_BY_METHOD = {hdrs.METH_GET: Kind.READ, hdrs.METH_HEAD: Kind.READ, hdrs.METH_PUT: Kind.INGEST}
_SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Door:
    """What is known of tokens, and of those who came with a wrong one."""

    def __init__(self, settings: ApiSettings, root: Path) -> None:
        self.takes_anybody = takes_anybody(settings)
        self.asks_host = settings.allow_anonymous is None and settings.socket is None
        self.tokens = TokenBook(TokenFile(root))
        self.attempts = Attempts()


DOOR = web.AppKey("door", Door)


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request in, or refuse it with 401, 403 or 429."""
    resource = request.match_info.route.resource
    template = "" if resource is None else resource.canonical
    if template not in OPEN and request.method != hdrs.METH_OPTIONS:
        principal = await _recognise(request)
        request[PRINCIPAL] = principal
        require(request, needed_for(template, request.method))
    return await handler(request)


def needed_for(template: str, method: str) -> tuple[Kind, ...]:
    """The kinds of scope of which one has to be there."""
    if not template:
        return tuple(Kind)
    return KINDS.get(template, (_BY_METHOD.get(method, Kind.OPERATE),))


def asked_by(request: web.Request) -> str:
    """Who asks, as the ledger remembers it."""
    return f"{request[PRINCIPAL].name} http {request.remote}".strip()


async def _recognise(request: web.Request) -> Principal:
    door = request.app[DOOR]
    given = [text for text in request.headers.getall(hdrs.AUTHORIZATION, ()) if _is_bearer(text)]
    if not given and door.takes_anybody:
        if door.asks_host:
            _refuse_other_names(request)
        return ANYBODY
    if not given:
        raise await _unknown(request, "missing")
    token = door.tokens.find(given[0].partition(" ")[2].strip()) if len(given) == 1 else None
    if token is None or token.is_expired:
        raise await _unknown(request, "invalid" if token is None else "expired")
    return token.principal


def _is_bearer(header: str) -> bool:
    """A proxy's own password, say, is none of ours."""
    return header.partition(" ")[0].lower() == "bearer"


def _refuse_other_names(request: web.Request) -> None:
    """A name may lead here from a page of another site (DNS rebinding), or through a proxy."""
    name = request.headers.get(hdrs.HOST, "").rpartition(":")
    host = (name[0] if name[2].isdigit() else "".join(name)).strip("[]").lower()
    if host in ("", "localhost") or host.endswith(".localhost"):
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        problem = ProblemDocument(
            421, "unknown-host", "Not under this name",
            f"without a token this is only reached as 127.0.0.1 or localhost, not as {shown(host)}",
            "behind a proxy, set api.allow_anonymous: false asks for tokens, true for none",
        )  # fmt: skip
        raise RequestRefused(problem) from None


async def _unknown(request: web.Request, reason: str) -> RequestRefused:
    """401 after a while, the longer the more often; 429 where too many wait for theirs."""
    door, address = request.app[DOOR], request.remote or ""
    times = 0 if reason == "missing" else door.attempts.note(address)
    request.app[CONTEXT].events.access_refused(reason, address, times)
    if times and not await door.attempts.slow_down(times):
        return RequestRefused(
            ProblemDocument(
                429, "too-many-attempts", "Too many wrong tokens",
                "too many requests with wrong tokens wait for their answer", "try again later",
                headers={hdrs.RETRY_AFTER: "10"},
            )
        )  # fmt: skip
    challenge = 'Bearer realm="ingestd"' + ("" if not times else ', error="invalid_token"')
    return RequestRefused(
        ProblemDocument(
            401, "token-" + reason, "A token is needed", _DETAILS[reason],
            "send Authorization: Bearer …; `ingestd token create` makes tokens",
            headers={hdrs.WWW_AUTHENTICATE: challenge},
        )
    )  # fmt: skip


_DETAILS = {
    "missing": "the request has no token",
    "invalid": "the token of the request is not known here, or no longer",
    "expired": "the token of the request has expired",
}


def require(request: web.Request, kinds: tuple[Kind, ...]) -> None:
    """Raises RequestRefused: 403: the token lacks all of these scopes, for the path's source."""
    source = request.match_info.get("source_name")
    if request[PRINCIPAL].may_any(kinds, source):
        return
    is_name = source is not None and _SOURCE_NAME.fullmatch(source)
    wanted = [str(Scope(kind, source if is_name else None)) for kind in kinds]
    raise RequestRefused(
        ProblemDocument(
            403, "missing-scope", "Not allowed",
            f"the token lacks the scope {' or '.join(wanted)}",
            "make one that has it: `ingestd token create --scope …`",
            {"scope": wanted[0]},
            {hdrs.WWW_AUTHENTICATE: f'Bearer error="insufficient_scope", scope="{wanted[0]}"'},
        )
    )  # fmt: skip
