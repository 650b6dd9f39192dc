"""``python -m benchmarks``: measure, show tables, write JSON."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.guard import check, show_verdicts
from benchmarks.machine import load_average, machine_facts
from benchmarks.probes import ON_REQUEST, PROBES
from benchmarks.processes import CommandFailed
from benchmarks.report import show_probe, show_scenario
from benchmarks.rounds import Effort, run_rounds, tell
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import Spread, summarize
from ingestd.cli.screen import stdout

_ROUNDS = 3
_QUICK_ROUNDS = 1
_QUICK_ROW_PART = 10


def main() -> int:
    """Measure what was asked for; with ``--check`` compare, and fail when it is worse."""
    options = _parse_options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with _work_directory(options.directory) as directory:
        if options.check:
            return _check(directory)
        return _measure(options, directory)


def _check(directory: Path) -> int:
    verdicts = check(directory)
    show_verdicts(verdicts)
    return 1 if any(verdict.word == "worse" for verdict in verdicts) else 0


def _measure(options: argparse.Namespace, directory: Path) -> int:
    """One after the other; what fails is told, and the others are measured all the same."""
    results: dict[str, Any] = {"machine": machine_facts(), "load_average_before": load_average()}
    is_complete = True
    for name in options.only or _usual_names(is_quick=options.quick):
        tell(name)
        try:
            results[name] = _measure_one(name, options, directory)
        except CommandFailed as error:
            is_complete = False
            tell(f"{name} could not be measured: {error}")
        results["load_average_after"] = load_average()
        if options.json:
            text = json.dumps(results, indent=1, ensure_ascii=False)
            options.json.write_text(text + "\n", encoding="utf-8")
    return 0 if is_complete else 1


def _measure_one(name: str, options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    effort = Effort(rounds, options.quick, _QUICK_ROW_PART if options.quick else 1)
    if name in PROBES:
        found = PROBES[name](effort, directory)
        show_probe(stdout(), name, found)
        return _as_document(found)
    scenario = SCENARIOS[name]
    summary = summarize(run_rounds(scenario, effort, directory, options.contestants))
    show_scenario(stdout(), name, effort.rows(scenario), summary)
    figures = {contestant: _as_document(own) for contestant, own in summary.items()}
    return {"what": scenario.what, "rows": effort.rows(scenario), **figures}


def _usual_names(*, is_quick: bool) -> Sequence[str]:
    scenarios = [
        name for name, scenario in SCENARIOS.items()
        if (scenario.is_quick if is_quick else scenario.is_default)
    ]  # fmt: skip
    return [*scenarios, *(name for name in PROBES if name not in ON_REQUEST)]


def _as_document(figures: Mapping[str, Spread | float]) -> dict[str, object]:
    return {
        name: value.as_document() if isinstance(value, Spread) else value
        for name, value in figures.items()
    }


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*SCENARIOS, *PROBES]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", default=[],
        help=f"these only: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument(
        "--contestants", nargs="+", choices=list(CONTESTANTS), metavar="NAME", default=[],
        help=f"these only: {', '.join(CONTESTANTS)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=_positive, help=f"how often, default {_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="about two minutes, small files")
    parser.add_argument("--check", action="store_true", help="compare with guard.toml, and judge")
    parser.add_argument("--json", type=_writable, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR",
        help="where files and databases lie meanwhile: a real disk, 3 GB free (5 GB file: 40 GB)",
    )  # fmt: skip
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("a whole number from 1 is needed")
    return int(text)


def _writable(text: str) -> Path:
    """Better told now than after an hour."""
    if not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no such directory")
    return Path(text)


@contextmanager
def _work_directory(parent: Path | None) -> Iterator[Path]:
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="ingestd-bench-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
