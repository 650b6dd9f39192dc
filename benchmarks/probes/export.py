"""All rows of a source over HTTP, in each form, beside the service that teams usually write."""

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.daemon import running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.generate import orders, write_file
from benchmarks.processes import CommandFailed, Meter
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import Server, running_server
from benchmarks.summary import Spread, spread
from benchmarks.usual_service import is_present, usual_service
from ingestd.export import FORMS
from ingestd.ledger import FILES
from ingestd.records import FileState

_ROWS = 1_000_000
_QUICK_ROWS = 100_000
_SMALL_PART = 10
"""Memory is compared with that for so many times fewer rows."""
_LIMIT_S = 300.0
_POLL_S = 0.05
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Read:
    """One answer, read to its end and thrown away."""

    seconds: float
    peak_mb: float


def measure_export(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """Rows a second, and memory beside that of a small export."""
    rows = _QUICK_ROWS if effort.is_quick else _ROWS
    text = (SOURCES / "orders.toml").read_text(encoding="utf-8")
    sources = {"orders": text, "few": text.replace("orders", "few")}
    with scratch(directory / "export") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, sources)
        with running_daemon(deployment) as daemon:
            stored = _load(deployment, server, {"few": rows // _SMALL_PART, "orders": rows})
            figures: dict[str, Spread | float] = {}
            for form in FORMS:
                figures |= _measure_form(form, daemon.url, daemon.pid, stored, effort.rounds)
        return figures | _measure_usual(server, stored["orders"])


def _load(deployment: Deployment, server: Server, rows: Mapping[str, int]) -> dict[str, int]:
    """Load a file of so many rows into each source; how many are stored."""
    for name, count in rows.items():
        tell(f"  loading {count:,} rows …")
        file = deployment.staging / f"{name}.csv"
        write_file(file, orders(), count)
        file.rename(deployment.root / "inbox" / name / file.name)
    with server.database() as database:
        deadline = time.monotonic() + _LIMIT_S
        while database[FILES].count_documents({"state": FileState.ARCHIVED.value}) < len(rows):
            if time.monotonic() > deadline:
                raise CommandFailed("the rows to be exported were not loaded")
            time.sleep(_POLL_S)
        return {name: database[name].estimated_document_count() for name in rows}


def _measure_form(
    form: str, url: str, pid: int, stored: Mapping[str, int], rounds: int
) -> dict[str, Spread | float]:
    query = f"?format={form}&limit=all"
    few = [_read(f"{url}/data/few{query}", pid) for _ in range(rounds)]
    whole = [_read(f"{url}/data/orders{query}", pid) for _ in range(rounds)]
    rates = [stored["orders"] / read.seconds for read in whole]
    growth = max(read.peak_mb for read in whole) / max(read.peak_mb for read in few)
    tell(f"  {form}: {max(rates):,.0f} rows/s, {whole[-1].peak_mb:,.0f} MB")
    return {
        f"{form}_rows_per_s": spread(rates), f"{form}_mb": spread([r.peak_mb for r in whole]),
        f"{form}_memory_of_few": growth,
    }  # fmt: skip


def _measure_usual(server: Server, rows: int) -> dict[str, Spread | float]:
    """A tenth of the rows: it makes all of them before it answers."""
    if not is_present():
        return {}
    some = rows // _SMALL_PART
    with usual_service(server.uri) as url:
        _read(f"{url}/data/orders?limit=100")
        read = _read(f"{url}/data/orders?limit={some}")
    return {"usual_rows_per_s": some / read.seconds}


def _read(url: str, pid: int | None = None) -> _Read:
    """The time of one answer; with a process, also the memory of all its processes."""
    with _metered(pid) as meter:
        started = time.perf_counter()
        _read_through(url)
        seconds = time.perf_counter() - started
    return _Read(seconds, meter.cost.peak_pss_bytes / 1e6 if meter else 0.0)


@contextmanager
def _metered(pid: int | None) -> Iterator[Meter | None]:
    if pid is None:
        yield None
        return
    with Meter(pid) as meter:
        yield meter


def _read_through(url: str) -> None:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=_LIMIT_S)
    try:
        connection.request("GET", f"{address.path}?{address.query}")
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise CommandFailed(f"{url}: {response.status} {response.read(500)!r}")
        while response.read(_READ_BYTES):
            pass
    finally:
        connection.close()
