"""What teams do today: one pandas job per file, written as such jobs are written.

It keeps no index but ``_id``, which is in its favour. Run as a module, this is the job.
"""

import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.processes import Meter, run_measured
from benchmarks.trial import Measurement, Trial
from ingestd.config.settings import MongoSettings
from ingestd.demo.child import own_environment

_DTYPES = {"string": "str", "category": "category", "bool": "boolean"}
_UPSERTS_AT_ONCE = 10_000


def measure_pandas(trial: Trial) -> Measurement:
    load = trial.load
    arguments = (trial.server.uri, str(load.scenario.source_file), *map(str, load.files))
    command = [sys.executable, "-m", "benchmarks.contestants.pandas", *arguments]
    with Meter(trial.server.pid) as server:
        ran = run_measured(command, own_environment())
    return Measurement(ran.seconds, ran.cost, server.cost)


def _main(uri: str, source_file: str, *files: str) -> None:
    from pymongo import MongoClient  # noqa: PLC0415 - a job imports what it needs, on its time

    source = tomllib.loads(Path(source_file).read_text(encoding="utf-8"))
    with MongoClient[dict[str, Any]](uri) as client:
        collection = client[MongoSettings().database][source["name"]]
        if key := source.get("load", {}).get("key"):
            collection.create_index(key, unique=True)
        for file in files:
            _store(collection, _clean(file, source), key)


def _clean(file: str, source: dict[str, Any]) -> list[dict[str, Any]]:
    """The good rows as dicts."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415

    frame = pd.read_csv(file)
    for column, spec in source["schema"].items():
        frame[column] = _converted(pd, frame[column], spec)
    for column, rules in source.get("validation_rules", {}).items():
        frame = _filtered(frame, column, rules)
    for step in source.get("transform", ()):
        frame = frame.round(step.get("round", {}))
    frame["processed_at"] = datetime.now(UTC)
    frame["source_name"] = source["name"]
    if frame.isna().any(axis=None):
        frame = frame.astype(object).where(frame.notna(), None)
    records: list[dict[str, Any]] = frame.to_dict("records")
    return records


def _converted(pd: Any, values: Any, spec: Any) -> Any:
    """One column in its type; what has no number or date in it becomes null."""
    kind = spec if isinstance(spec, str) else spec["type"]
    if kind == "datetime":
        return pd.to_datetime(values, format=spec.get("format"), errors="coerce")
    if kind.startswith(("int", "float")):
        if values.dtype == "str":
            values = pd.to_numeric(values, errors="coerce")
        return values.astype("float64" if values.hasnans else kind)
    return values.astype(_DTYPES[kind])


def _filtered(frame: Any, column: str, rules: dict[str, Any]) -> Any:
    if rules.get("not_null"):
        frame = frame.dropna(subset=[column])
    if "min" in rules:
        frame = frame[frame[column] >= rules["min"]]
    if "max" in rules:
        frame = frame[frame[column] <= rules["max"]]
    if "one_of" in rules:
        frame = frame[frame[column].isin(rules["one_of"])]
    if "max_length" in rules:
        frame = frame[frame[column].str.len() <= rules["max_length"]]
    return frame


def _store(collection: Any, records: list[dict[str, Any]], key: list[str] | None) -> None:
    from pymongo import UpdateOne  # noqa: PLC0415

    if not key:
        collection.insert_many(records)
        return
    for first in range(0, len(records), _UPSERTS_AT_ONCE):
        changes = [
            UpdateOne({column: record[column] for column in key}, {"$set": record}, upsert=True)
            for record in records[first : first + _UPSERTS_AT_ONCE]
        ]
        collection.bulk_write(changes)


if __name__ == "__main__":
    _main(*sys.argv[1:])
