"""One measurement: what it is made with, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Cost
from benchmarks.scenarios import Scenario
from benchmarks.server import Server
from ingestd.config.source import SourceSpec

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be loaded, the same for every contestant of a scenario."""

    scenario: Scenario
    source: SourceSpec
    files: tuple[Path, ...]
    rows: int
    size_bytes: int
    ready_made: Path | None
    """Description of the finished documents, where a contestant needs them."""
    documents: int | None
    """How many rows are good; None where nobody has counted them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A load, a fresh MongoDB to load it into, and an empty directory."""

    load: Load
    server: Server
    directory: Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one contestant did in one round."""

    seconds: float
    client: Cost
    mongod: Cost
    details: Mapping[str, float] = field(default_factory=dict)

    def figures(self, load: Load) -> dict[str, float]:
        """Everything that is reported, by name; names end with their unit."""
        per_row = 1e6 / load.rows
        return {
            "seconds": self.seconds,
            "rows_per_s": load.rows / self.seconds,
            "files_per_s": len(load.files) / self.seconds,
            "main_cpu_us_per_row": self.client.main_cpu_s * per_row,
            "workers_cpu_us_per_row": self.client.workers_cpu_s * per_row,
            "client_cpu_us_per_row": self.client.cpu_s * per_row,
            "client_cpu_ns_per_byte": self.client.cpu_s * 1e9 / load.size_bytes,
            "mongod_cpu_us_per_row": self.mongod.cpu_s * per_row,
            "total_cpu_us_per_row": (self.client.cpu_s + self.mongod.cpu_s) * per_row,
            "peak_rss_mb": self.client.peak_rss_bytes / _MB,
            "peak_pss_mb": self.client.peak_pss_bytes / _MB,
            "mongod_peak_rss_mb": self.mongod.peak_rss_bytes / _MB,
            **self.details,
        }
