"""``ingestd retry``, ``undo``, ``forget``, ``dismiss`` and ``receipt``: files that have ended."""

import getpass
import json
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ingestd.api.files import as_file
from ingestd.cli.configured import require_compiled
from ingestd.cli.reading import ask_mongo
from ingestd.cli.screen import clean, show_json, stdout
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import ExitCode
from ingestd.events import Events
from ingestd.export.json_text import to_json
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.metrics import Metrics
from ingestd.mongo import Document, Mongo
from ingestd.pipeline import Desk
from ingestd.pipeline.putaway import PutAway
from ingestd.rejects import Rejects
from ingestd.wayback import dismiss as dismiss_
from ingestd.wayback import forget as forget_
from ingestd.wayback import receipt as receipt_
from ingestd.wayback import retry as retry_
from ingestd.wayback import undo as undo_
from ingestd.workers import ThisProcess

Result = TypeVar("Result")
Act = Callable[[Desk], Awaitable[Document]]


def retry_file(location: Path | None, file: str, *, ignores_budget: bool, as_json: bool) -> int:
    """Bring a file back to its inbox."""
    act = partial(retry_, file=file, by=operator(), ignores_budget=ignores_budget)
    return _act(location, act, "{name} is back at {path}: the daemon loads it", as_json=as_json)


def undo_file(location: Path | None, file: str, *, as_json: bool) -> int:
    """Remove the rows of a file."""
    act = partial(undo_, file=file, by=operator())
    entry = at_desk(location, act)
    told = "{name} is undone: none of its rows is left"
    if entry.get("rejects_file"):
        told += ". Somebody has changed {rejects_file}: it stays, for rows that are undone, too"
    return _tell(entry, told, as_json=as_json)


def forget_file(location: Path | None, file: str, *, as_json: bool) -> int:
    """Let a content come again."""
    act = partial(forget_, file=file, by=operator())
    return _act(location, act, "{name} is loaded once more when it comes again", as_json=as_json)


@dataclass(frozen=True, slots=True)
class Dismissal:
    """Which rejections are closed, and why; no rows: all."""

    reason: str
    rows: Sequence[int]


def dismiss_rejections(
    location: Path | None, file: str, dismissal: Dismissal, *, as_json: bool
) -> int:
    """Close rejections of a file."""
    act = partial(
        dismiss_, file=file, by=operator(), reason=dismissal.reason, rows=dismissal.rows
    )  # fmt: skip
    return _act(location, act, "rejections of {name} are dismissed", as_json=as_json)


def show_receipt(location: Path | None, file: str) -> int:
    """What the sender may be told."""
    told = at_desk(location, partial(receipt_, file=file))
    show_json(json.loads(to_json(told)))
    return ExitCode.OK


def _act(location: Path | None, act: Act, told: str, *, as_json: bool) -> int:
    """Do it, and tell so with what the ledger says of the file then."""
    return _tell(at_desk(location, act), told, as_json=as_json)


def _tell(entry: Document, told: str, *, as_json: bool) -> int:
    file = as_file(entry)
    if as_json:
        show_json(json.loads(to_json(file)))
    else:
        texts = {key: clean(file[key] or "") for key in ("name", "path", "rejects_file")}
        stdout().print(told.format(**texts))
    return ExitCode.OK


def at_desk(location: Path | None, act: Callable[[Desk], Awaitable[Result]]) -> Result:
    """Do something with the stores and sources of the configuration."""
    settings, sources = require_compiled(location)
    by_name = {source.name: source for source in sources}
    return ask_mongo(settings, partial(_act_at, settings=settings, sources=by_name, act=act))


async def _act_at(
    mongo: Mongo, settings: Settings, sources: dict[str, SourceSpec],
    act: Callable[[Desk], Awaitable[Result]],
) -> Result:  # fmt: skip
    """Raises StoreAway at once, instead of waiting, when MongoDB is away from the beginning."""
    await mongo.connect()
    ledger, rejects = Ledger(mongo, settings.ledger), Rejects(mongo)
    events = Events(Metrics())
    await ledger.prepare()
    await rejects.prepare()
    desk = Desk(
        sources=sources, settings=settings, ledger=ledger, rejects=rejects, events=events,
        loader=Loader(mongo, settings.load), workers=ThisProcess(),
        put_away=PutAway(settings.paths, ledger, rejects, events),
    )  # fmt: skip
    async with ledger.leases.kept():
        return await act(desk)


def operator() -> str:
    """Who runs the command, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        user = f"uid {os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
