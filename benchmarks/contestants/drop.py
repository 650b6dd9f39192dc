"""The daemon, fed by renaming: until the last file is archived and its source indexed.

It has loaded before: a few files of a source with the same columns go first, so that every
worker has imported and allocated what it needs, as in a daemon that runs for days.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from benchmarks.contestants.load import check_counts
from benchmarks.daemon import running_daemon
from benchmarks.deployment import Deployment, link_all, make_deployment
from benchmarks.generate import cut_file, write_file
from benchmarks.processes import CommandFailed, Meter
from benchmarks.trial import Load, Measurement, Trial
from ingestd.config.source import SourceSpec
from ingestd.ledger import FILES
from ingestd.load import ordered_indexes
from ingestd.records import COMMITTED, FileState

Ledger = Collection[dict[str, Any]]

_LIMIT_S = 3600.0
_POLL_S = 0.02
_LOST = (FileState.HELD, FileState.FAILED, FileState.DUPLICATE, FileState.UNDONE)
_WARM_UP = "warmup"
_WARM_UP_FILES = 12
_WARM_UP_ROWS = 100


def measure_drop(trial: Trial) -> Measurement:
    load = trial.load
    deployment = make_deployment(trial.directory, trial.server.uri, _sources(load))
    staged = link_all(load.files, deployment.staging)
    inbox = deployment.inbox(load.source)
    with trial.server.database() as database, running_daemon(deployment) as daemon:
        ledger = database[FILES]
        _warm_up(load, deployment, ledger)
        with Meter(trial.server.pid) as server, Meter(daemon.pid) as client:
            started = time.perf_counter()
            for file in staged:
                file.rename(inbox / file.name)
            wanted = (ledger, load.source.name, len(staged))
            _await_states(*wanted, COMMITTED)
            queryable_s = time.perf_counter() - started
            _await_states(*wanted, (FileState.ARCHIVED,))
            _await_indexes(database, load.source)
            seconds = time.perf_counter() - started
        check_counts(load, list(ledger.find({"source_name": load.source.name})))
    return Measurement(seconds, client.cost, server.cost, {"queryable_s": queryable_s})


def _sources(load: Load) -> dict[str, str]:
    source = load.source
    text = load.scenario.source_file.read_text(encoding="utf-8")
    warm_up = text.replace(f'name = "{source.name}"', f'name = "{_WARM_UP}"')
    warm_up = warm_up.replace(f'"{source.file_pattern}"', f'"{_WARM_UP}/*.csv"')
    return {source.name: text, _WARM_UP: warm_up}


def _warm_up(load: Load, deployment: Deployment, ledger: Ledger) -> None:
    whole = deployment.root / "warmup.csv"
    write_file(whole, load.scenario.block, _WARM_UP_FILES * _WARM_UP_ROWS)
    files = cut_file(whole, deployment.staging, _WARM_UP_ROWS)
    for file in files:
        file.rename(deployment.root / "inbox" / _WARM_UP / file.name)
    _await_states(ledger, _WARM_UP, len(files), (FileState.ARCHIVED,))


def _await_states(
    ledger: Ledger, source_name: str, count: int, states: Sequence[FileState]
) -> None:  # fmt: skip
    """Until that many files of a source are in one of the states.

    Raises:
        CommandFailed: one of them never will be, or it takes too long.
    """
    wanted, lost = (
        {"source_name": source_name, "state": {"$in": [state.value for state in group]}}
        for group in (states, _LOST)
    )
    deadline = time.monotonic() + _LIMIT_S
    while ledger.count_documents(wanted) < count:
        if time.monotonic() > deadline or ledger.find_one(lost):
            raise CommandFailed(f"files of {source_name} did not load: {ledger.find_one(lost)}")
        time.sleep(_POLL_S)


def _await_indexes(database: Database[dict[str, Any]], source: SourceSpec) -> None:
    """Until the indexes a source asks for are built; a file is archived before that."""
    while not set(ordered_indexes(source.load)) <= set(_built_indexes(database, source.name)):
        time.sleep(_POLL_S)


def _built_indexes(
    database: Database[dict[str, Any]], collection: str
) -> Iterator[tuple[str, ...]]:  # fmt: skip
    """The fields of each index, without those that are being built."""
    answer = database.command("listIndexes", collection, includeBuildUUIDs=True)
    for index in answer["cursor"]["firstBatch"]:
        if "buildUUID" not in index:
            yield tuple(index["key"])
