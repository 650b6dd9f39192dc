"""``?wait=`` of an upload: it is answered once what was sent has ended, if that comes in time."""

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import web
from anyio import to_thread

from ingestd.api.context import ApiContext
from ingestd.api.problems import bad_parameter, unknown_parameter
from ingestd.api.query import read_parameters
from ingestd.config.quantities import parse_duration
from ingestd.errors import StoreAway
from ingestd.ledger import FILES
from ingestd.mongo import Document
from ingestd.records import UNFINISHED
from ingestd.wayback import receipt

MAX_WAIT_S = 60.0
_LOOK_EVERY_S = 0.1
_BEHIND_SLASH = chr(ord("/") + 1)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, where it lies until it has ended, and since when."""

    source_name: str
    target: Path
    since: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of an upload."""

    wait_s: float
    replaces: str | None
    """The id of a file in whose place it is to be seen."""


def read_asked(request: web.Request) -> Asked:
    """Raises RequestRefused: 400."""
    given = read_parameters(request)
    wait, replaces = given.pop("wait", "0"), given.pop("replaces", None)
    for name in given:
        raise unknown_parameter(name, ("wait", "replaces"))
    return Asked(_wait_s(wait), replaces)


def _wait_s(text: str) -> float:
    try:
        wait_s = float(str(parse_duration(text)))
    except ValueError:
        wait_s = -1
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise bad_parameter("wait", f'it has to be a duration of up to {MAX_WAIT_S:g} s, as "30s"')
    return wait_s


async def await_end(context: ApiContext, sent: Sent, wait_s: float) -> Document | None:
    """The receipt of the file, or of an archive those of its files; None: not in time."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        try:
            if ended := await _ended(context, sent):
                return ended
        except StoreAway:  # the file is safe, which is what was asked for
            return None
        await asyncio.sleep(_LOOK_EVERY_S)
    return None


async def _ended(context: ApiContext, sent: Sent) -> Document | None:
    name = sent.target.name
    ended = {
        "source_name": sent.source_name, "finished_at": {"$gte": sent.since},
        "state": {"$nin": [state.value for state in UNFINISHED]},
    }  # fmt: skip
    entry = await context.mongo.find_one(FILES, {**ended, "name": name})
    if entry is not None:
        return await receipt(context.desk, entry["_id"])
    if await to_thread.run_sync(os.path.lexists, sent.target):
        return None  # an archive leaves the inbox when all of its files have ended
    inside = {"$gte": f"{name}/", "$lt": f"{name}{_BEHIND_SLASH}"}
    entries = await context.mongo.find(FILES, {**ended, "name": inside}, sort=[("name", 1)])
    receipts = [await receipt(context.desk, one["_id"]) for one in entries]
    is_loaded = all(one["is_loaded"] for one in receipts)
    return {"file": name, "is_loaded": is_loaded, "files": receipts} if receipts else None
