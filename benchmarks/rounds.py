"""Contestants in turns, round by round, so that a busy moment of the machine hits all of them."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, is_present
from benchmarks.deployment import read_source
from benchmarks.documents import make_documents
from benchmarks.machine import calibration_s
from benchmarks.scenarios import Scenario, write_files
from benchmarks.server import running_server
from benchmarks.trial import Load, Measurement, Trial

Figures = dict[str, float]
Round = dict[str, Figures]
"""The figures of each contestant, by name, measured one after the other."""

_REFERENCES = ("ceiling", "pandas", "mongoimport")
"""Contestants that others are compared with."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    is_quick: bool = False
    """Probes are shorter, too."""
    row_part: int = 1
    """One row is loaded for so many of a full run."""

    def rows(self, scenario: Scenario) -> int:
        return scenario.rows // self.row_part


def run_rounds(
    scenario: Scenario, effort: Effort, directory: Path, only: Sequence[str] = ()
) -> list[Round]:
    """Measure every contestant of a scenario in every round."""
    contestants = [
        name for name in scenario.contestants if is_present(name) and (not only or name in only)
    ]
    with scratch(directory / "files") as place:
        load = _make_load(
            scenario, effort.rows(scenario), place, needs_documents="ceiling" in contestants
        )
        rounds = [
            {name: _measure(name, load, directory) for name in contestants}
            for _ in range(effort.rounds)
        ]
    return [with_ratios(figures) for figures in rounds]


def _make_load(
    scenario: Scenario, rows: int, directory: Path, *, needs_documents: bool
) -> Load:  # fmt: skip
    tell(f"writing {rows:,} rows …")
    files = write_files(scenario, rows, directory / "csv")
    source = read_source(scenario.source_file)
    size_bytes = sum(file.stat().st_size for file in files)
    if not needs_documents:
        return Load(scenario, source, files, rows, size_bytes, None, None)
    ready_made = make_documents(source, files, directory / "documents.bson")
    ready_made.save(directory / "documents.json")
    return Load(
        scenario, source, files, rows, size_bytes, directory / "documents.json",
        ready_made.documents,
    )  # fmt: skip


def _measure(contestant: str, load: Load, directory: Path) -> Figures:
    kernel_s = calibration_s()
    with scratch(directory / "trial") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        measured = CONTESTANTS[contestant](Trial(load, server, place / "root"))
    figures = measured.figures(load)
    tell(f"  {contestant}: {figures['rows_per_s']:,.0f} rows/s")
    return figures | {"rows_per_calibration": rows_per_calibration(measured, load, kernel_s)}


def rows_per_calibration(measured: Measurement, load: Load, kernel_s: float) -> float:
    """For how many rows a contestant needs the processor time of the calibration."""
    return load.rows * kernel_s / measured.client.cpu_s if measured.client.cpu_s else 0.0


def with_ratios(figures: Mapping[str, Figures]) -> Round:
    """Each contestant's figures, and how it did beside the others in the same round."""
    return {
        name: own | {
            ratio: value
            for other, others in figures.items() if other in _REFERENCES
            for ratio, value in _compare(own, others, other).items()
        }
        for name, own in figures.items()
    }  # fmt: skip


def _compare(own: Figures, others: Figures, other: str) -> Figures:
    """More is better. Speed; processor time with mongod's, which a busy machine changes less;
    speed until rows can be queried, which leaves out indexes that are built afterwards."""
    ratios = {
        f"of_{other}": own["rows_per_s"] / others["rows_per_s"],
        f"cpu_of_{other}": others["total_cpu_us_per_row"] / own["total_cpu_us_per_row"],
    }
    if "queryable_s" in own and "queryable_s" in others:
        ratios[f"queryable_of_{other}"] = others["queryable_s"] / own["queryable_s"]
    return ratios


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory that is empty at first, and gone at last."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def tell(text: str) -> None:
    """Say what is going on; results go to stdout."""
    print(text, file=sys.stderr, flush=True)
