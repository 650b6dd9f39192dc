"""The most this MongoDB takes: ready-made documents from memory, sent as ingestd sends them.

The same writers, batch limits, write concern, document sequences and indexes as ingestd's; the
indexes a source asks for are built at the end here, too. Reading the documents into memory is
not timed. Run as a module, this is the process that writes.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from benchmarks.deployment import read_source
from benchmarks.documents import ReadyMade, load_ready_made
from benchmarks.processes import Cost, Meter, run_measured
from benchmarks.trial import Measurement, Trial
from ingestd.config.settings import LoadSettings, MongoSettings
from ingestd.config.source import SourceSpec
from ingestd.demo.child import own_environment
from ingestd.load import ordered_indexes
from ingestd.mongo import DocumentSequence


def measure_ceiling(trial: Trial) -> Measurement:
    load = trial.load
    arguments = (str(load.ready_made), str(load.scenario.source_file), trial.server.uri)
    command = [sys.executable, "-m", "benchmarks.contestants.ceiling", *arguments]
    with Meter(trial.server.pid) as server:
        ran = run_measured(command, own_environment())
    answer: dict[str, float] = ran.answer
    cost = Cost(answer["cpu_s"], 0.0, ran.cost.peak_rss_bytes, ran.cost.peak_pss_bytes)
    seconds = answer["write_s"] + answer["index_s"]
    details = {"queryable_s": answer["write_s"], "index_s": answer["index_s"]}
    return Measurement(seconds, cost, server.cost, details)


def _main(ready_made_file: str, source_file: str, uri: str) -> None:
    ready_made = load_ready_made(Path(ready_made_file))
    batches = list(_read_batches(ready_made))
    source = read_source(Path(source_file))
    with MongoClient[dict[str, Any]](uri) as client:
        collection = client[MongoSettings().database][source.name]
        _make_first_indexes(collection, source)
        started, cpu_before = time.perf_counter(), _cpu_s()
        _write(collection, ready_made.kind, batches)
        written = time.perf_counter()
        for keys in ordered_indexes(source.load):
            collection.create_index([(key, 1) for key in keys])
        done = time.perf_counter()
    answer = {
        "write_s": written - started, "index_s": done - written, "cpu_s": _cpu_s() - cpu_before
    }  # fmt: skip
    print(json.dumps(answer))


def _read_batches(ready_made: ReadyMade) -> Iterator[memoryview]:
    octets = memoryview(Path(ready_made.path).read_bytes())
    begin = 0
    for end in ready_made.ends:
        yield octets[begin:end]
        begin = end


def _make_first_indexes(collection: Collection[dict[str, Any]], source: SourceSpec) -> None:
    collection.create_index([("processed_at", 1), ("_id", 1)])
    if source.load.mode == "upsert":
        collection.create_index([(key, 1) for key in source.load.key], unique=True)


def _write(
    collection: Collection[dict[str, Any]], kind: str, batches: list[memoryview]
) -> None:  # fmt: skip
    argument = "documents" if kind == "insert" else "updates"
    options = {"ordered": False, "writeConcern": {"w": "majority", "j": True}}

    def send(batch: memoryview) -> None:
        command = {kind: collection.name, **options, argument: [DocumentSequence(batch)]}
        collection.database.command(command)

    with ThreadPoolExecutor(LoadSettings().writers) as writers:
        list(writers.map(send, batches))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    _main(*sys.argv[1:])
