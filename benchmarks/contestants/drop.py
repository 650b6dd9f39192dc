"""The daemon, fed by renaming: from the first rename until the last file is archived."""

import time
from typing import Any

from pymongo.collection import Collection

from benchmarks.contestants.load import check_counts
from benchmarks.daemon import running_daemon
from benchmarks.deployment import link_all, make_deployment
from benchmarks.processes import CommandFailed, Meter
from benchmarks.trial import Measurement, Trial
from ingestd.ledger import FILES
from ingestd.records import COMMITTED, FileState

_LIMIT_S = 3600.0
_POLL_S = 0.02
_LOST = (FileState.HELD, FileState.FAILED, FileState.DUPLICATE, FileState.UNDONE)


def measure_drop(trial: Trial) -> Measurement:
    load = trial.load
    sources = {load.source.name: load.scenario.source_file.read_text(encoding="utf-8")}
    deployment = make_deployment(trial.directory, trial.server.uri, sources)
    staged = link_all(load.files, deployment.staging)
    inbox = deployment.inbox(load.source)
    with (
        trial.server.database() as database,
        running_daemon(deployment) as daemon,
        Meter(trial.server.pid) as server,
        Meter(daemon.pid) as client,
    ):
        started = time.perf_counter()
        for file in staged:
            file.rename(inbox / file.name)
        queryable_s = _await_states(database[FILES], COMMITTED, len(staged), started)
        seconds = _await_states(database[FILES], (FileState.ARCHIVED,), len(staged), started)
    with trial.server.database() as database:
        check_counts(load, list(database[FILES].find()))
    return Measurement(seconds, client.cost, server.cost, {"queryable_s": queryable_s})


def _await_states(
    ledger: Collection[dict[str, Any]], states: tuple[FileState, ...], count: int, started: float
) -> float:
    """Seconds since ``started`` until that many files are in one of the states."""
    wanted, lost = ([state.value for state in group] for group in (states, _LOST))
    while ledger.count_documents({"state": {"$in": wanted}}) < count:
        if time.perf_counter() - started > _LIMIT_S or ledger.find_one({"state": {"$in": lost}}):
            raise CommandFailed(f"files did not load: {list(ledger.find(limit=3))}")
        time.sleep(_POLL_S)
    return time.perf_counter() - started
