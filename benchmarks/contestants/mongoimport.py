"""mongoimport, where it is on PATH: typed columns from the header, two workers, no validation."""

from benchmarks.processes import Meter, run_measured
from benchmarks.trial import Measurement, Trial
from ingestd.config.settings import MongoSettings
from ingestd.demo.child import own_environment


def measure_mongoimport(trial: Trial) -> Measurement:
    load = trial.load
    (file,) = load.files
    command = [
        "mongoimport", "--quiet", "--uri", trial.server.uri, "--db", MongoSettings().database,
        "--collection", load.source.name, "--type", "csv", "--headerline",
        "--numInsertionWorkers", "2", "--file", str(file),
    ]  # fmt: skip
    if load.source.load.mode == "upsert":
        command += ["--mode", "upsert", "--upsertFields", ",".join(load.source.load.key)]
    with Meter(trial.server.pid) as server:
        ran = run_measured(command, own_environment())
    return Measurement(ran.seconds, ran.cost, server.cost)
