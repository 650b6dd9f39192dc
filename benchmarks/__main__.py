"""``python -m benchmarks``: measure, show tables, write JSON."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.guard import check, show_verdicts
from benchmarks.machine import load_average, machine_facts
from benchmarks.probes import PROBES
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
    with _work_directory(options.directory) as directory:
        if options.check:
            verdicts = check(directory)
            show_verdicts(verdicts)
            return 1 if any(verdict.word == "worse" for verdict in verdicts) else 0
        results = _run_all(options, directory)
    if options.json:
        text = json.dumps(results, indent=1, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*SCENARIOS, *PROBES]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", default=[],
        help=f"these only: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument("--contestants", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--rounds", type=int, help=f"how often, default {_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="about two minutes, small files")
    parser.add_argument("--check", action="store_true", help="compare with guard.toml, and judge")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--directory", type=Path, default=None, help="where files and databases go meanwhile"
    )
    return parser.parse_args()


@contextmanager
def _work_directory(parent: Path | None) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ingestd-bench-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run_all(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    effort = Effort(rounds, options.quick, _QUICK_ROW_PART if options.quick else 1)
    console, began = stdout(), load_average()
    results: dict[str, Any] = {"scenarios": {}, "probes": {}}
    for name in _scenarios(options.only, is_quick=options.quick):
        tell(name)
        scenario = SCENARIOS[name]
        summary = summarize(run_rounds(scenario, effort, directory, options.contestants))
        show_scenario(console, name, effort.rows(scenario), summary)
        figures = {who: _as_document(figures) for who, figures in summary.items()}
        results["scenarios"][name] = {"rows": effort.rows(scenario), "figures": figures}
    for name in options.only or PROBES:
        if name in PROBES:
            tell(name)
            found = PROBES[name](effort, directory)
            show_probe(console, name, found)
            results["probes"][name] = _as_document(found)
    averages = {"load_average_before": began, "load_average_after": load_average()}
    return {"machine": machine_facts() | averages, "rounds": rounds, **results}


def _scenarios(only: Sequence[str], *, is_quick: bool) -> list[str]:
    if only:
        return [name for name in only if name in SCENARIOS]
    return [
        name for name, scenario in SCENARIOS.items()
        if (scenario.is_quick if is_quick else scenario.is_default)
    ]  # fmt: skip


def _as_document(figures: Mapping[str, Spread | float]) -> dict[str, object]:
    return {
        name: value.as_document() if isinstance(value, Spread) else value
        for name, value in figures.items()
    }


if __name__ == "__main__":
    sys.exit(main())
