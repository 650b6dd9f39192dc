"""``POST /files/{file_id}/…``: what people do with files that have ended; receipts and audits."""

import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from ingestd.access import Kind
from ingestd.api.admission import asked_by
from ingestd.api.answers import json_response
from ingestd.api.bodies import Options, read_options
from ingestd.api.context import CONTEXT
from ingestd.api.files import as_file, find_file
from ingestd.api.probes import Handler
from ingestd.api.problems import bad_option
from ingestd.api.query import refuse_parameters
from ingestd.api.turns import EXPORTS
from ingestd.errors import StoreAway
from ingestd.ledger import Action
from ingestd.mongo import Document
from ingestd.wayback import audit, dismiss, forget, receipt, replay, retry, undo

_LONGEST_REASON = 1000
_NO_TEXT = ("Cc", "Cs")
"""Categories of Unicode: control characters, and surrogates, which no UTF-8 has."""
_LARGEST_ROW = 2**63 - 1
"""MongoDB has no larger whole number."""

Act = Callable[..., Awaitable[Document]]


async def get_receipt(request: web.Request) -> web.Response:
    """What the sender of a file may be told."""
    refuse_parameters(request)
    file = await find_file(request, Kind.READ, Kind.INGEST)
    return json_response(await receipt(request.app[CONTEXT].desk, file["_id"]))


async def get_audit(request: web.Request) -> web.Response:
    """Whether the file is stored as its original says; reads all of it."""
    refuse_parameters(request)
    context = request.app[CONTEXT]
    file = await find_file(request, Kind.OPERATE)
    with request.app[EXPORTS].one():
        done = await audit(context.desk, file["_id"])
    return json_response(done.as_document())


async def _post(request: web.Request, act: Act, options: Options) -> web.Response:
    """Do it, and answer with the file as it is then."""
    refuse_parameters(request)
    context = request.app[CONTEXT]
    given = await read_options(request, options)
    if context.mongo.is_away_since is not None:  # it would be waited for
        raise StoreAway("MongoDB is away")
    file = await find_file(request, Kind.OPERATE)
    entry = await act(context.desk, file["_id"], by=asked_by(request), **given)
    return json_response(as_file(entry))


def _ignores_budget(value: object) -> bool:
    if not isinstance(value, bool):
        raise bad_option("ignores_budget", "it has to be true or false")
    return value


def _reason(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_REASON:
        raise bad_option("reason", f"it has to be a text of 1 to {_LONGEST_REASON} characters")
    if any(unicodedata.category(character) in _NO_TEXT for character in value):
        raise bad_option("reason", "it has a control character, or half of a surrogate pair")
    return value


def _rows(value: object) -> list[int]:
    if not isinstance(value, list) or not all(map(_is_row, value)):
        raise bad_option("rows", "it has to be a list of row numbers; 0 is the file as a whole")
    return value


def _is_row(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_ROW


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
