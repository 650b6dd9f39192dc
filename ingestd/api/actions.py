"""``POST /files/{file_id}/…``: what people do with files that have ended; and their receipts.

A page of another site cannot ask for them: a browser tells where a request comes from.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from ingestd.access import Kind
from ingestd.api.admission import asked_by
from ingestd.api.answers import json_response
from ingestd.api.bodies import read_body
from ingestd.api.context import CONTEXT
from ingestd.api.files import as_file, find_file
from ingestd.api.probes import Handler
from ingestd.api.problems import ProblemDocument, RequestRefused, bad_parameter, choices, shown
from ingestd.api.query import refuse_parameters
from ingestd.errors import StoreAway
from ingestd.ledger import Action
from ingestd.mongo import Document
from ingestd.wayback import dismiss, forget, receipt, replay, retry, undo

_LONGEST_REASON = 1000

Act = Callable[..., Awaitable[Document]]
Options = Mapping[str, Callable[[object], object]]
"""By its name in the body what each option is read by."""


async def get_receipt(request: web.Request) -> web.Response:
    """What the sender of a file may be told."""
    refuse_parameters(request)
    file = await find_file(request, Kind.READ, Kind.INGEST)
    return json_response(await receipt(request.app[CONTEXT].desk, file["_id"]))


async def _post(request: web.Request, act: Act, options: Options) -> web.Response:
    """Do it, and answer with the file as it is then."""
    refuse_parameters(request)
    _refuse_foreign(request)
    context = request.app[CONTEXT]
    given = _read_options(await read_body(request), options)
    if context.mongo.is_away_since is not None:  # it would be waited for
        raise StoreAway("MongoDB is away")
    file = await find_file(request, Kind.OPERATE)
    entry = await act(context.desk, file["_id"], by=asked_by(request), **given)
    return json_response(as_file(entry))


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


def _read_options(body: bytes, options: Options) -> dict[str, object]:
    """The options of the action: an object in JSON, or nothing."""
    given = _read_object(body)
    for name in given:
        if name not in options:
            raise bad_parameter(name, "there is no such option", more=choices(name, options))
    return {name: options[name](value) for name, value in given.items()}


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise bad_parameter("body", "it has to be a JSON object, or empty")
    return given


def _ignores_budget(value: object) -> bool:
    if not isinstance(value, bool):
        raise bad_parameter("ignores_budget", "it has to be true or false")
    return value


def _reason(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_REASON:
        raise bad_parameter("reason", f"it has to be a text of 1 to {_LONGEST_REASON} characters")
    return value


def _rows(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(row) is int and row >= 0 for row in value):
        raise bad_parameter("rows", "it has to be a list of row numbers; 0 is the file as a whole")
    return value


async def _dismiss(*arguments: Any, reason: str = "", **options: Any) -> Document:
    return await dismiss(*arguments, reason=_reason(reason), **options)


_ACTIONS: Mapping[Action, tuple[Act, Options]] = {
    Action.RETRY: (retry, {"ignores_budget": _ignores_budget}),
    Action.UNDO: (undo, {}),
    Action.FORGET: (forget, {}),
    Action.REPLAY: (replay, {}),
    Action.DISMISS: (_dismiss, {"reason": _reason, "rows": _rows}),
}

HANDLERS: Mapping[Action, Handler] = {
    action: partial(_post, act=act, options=options) for action, (act, options) in _ACTIONS.items()
}
"""What answers each action."""
