"""``ingestd load``: the whole command, from its start to its end."""

from benchmarks.deployment import make_deployment
from benchmarks.processes import CommandFailed, Meter, run_measured
from benchmarks.trial import Load, Measurement, Trial
from ingestd.demo.child import own_environment
from ingestd.errors import ExitCode

_FINE = (ExitCode.OK, ExitCode.DATA_REFUSED)


def measure_load(trial: Trial) -> Measurement:
    load = trial.load
    sources = {load.source.name: load.scenario.source_file.read_text(encoding="utf-8")}
    deployment = make_deployment(trial.directory, trial.server.uri, sources)
    files = [str(file) for file in load.files]
    command = deployment.command("load", *files, "--source", load.source.name, "--json")
    with Meter(trial.server.pid) as server:
        ran = run_measured(command, own_environment(), _FINE)
    check_counts(load, ran.answer["files"])
    slowest = max(file["seconds"] for file in ran.answer["files"])
    return Measurement(ran.seconds, ran.cost, server.cost, {"work_s": slowest})


def check_counts(load: Load, files: list[dict[str, int]]) -> None:
    """A load that lost rows is no measurement.

    Raises:
        CommandFailed: the ledger does not say what is known of the files.
    """
    rows = sum(file["record_count"] for file in files)
    documents = sum(file["success_count"] for file in files)
    if rows != load.rows or load.documents not in (None, documents):
        expected = f"{load.rows} rows, {load.documents} of them good"
        raise CommandFailed(f"{rows} rows were read and {documents} stored, instead of {expected}")
