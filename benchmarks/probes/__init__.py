"""What is measured of a daemon besides throughput. Each is one function, named in ``PROBES``."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.probes.export import measure_export
from benchmarks.probes.idle import measure_idle
from benchmarks.probes.latency import measure_busy_latency, measure_latency
from benchmarks.probes.ledger import measure_ledger
from benchmarks.probes.pages import measure_pages
from benchmarks.rounds import Effort
from benchmarks.summary import Spread

Probe = Callable[[Effort, Path], Mapping[str, Spread | float]]

PROBES: Mapping[str, Probe] = {
    "latency": measure_latency,
    "busy-latency": measure_busy_latency,
    "idle": measure_idle,
    "export": measure_export,
    "ledger": measure_ledger,
    "pages": measure_pages,
}

ON_REQUEST = frozenset({"ledger", "pages"})
"""They take minutes to prepare: measured when they are named."""
