"""Where and with what figures were measured, and how fast this machine is at this moment."""

import hashlib
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from typing import Any

import psutil

from ingestd import __version__
from ingestd.mongod import find_mongod

_PACKAGES = ("polars", "pyarrow", "numpy", "pymongo", "motor", "anyio", "pandas")
_CALIBRATION_BYTES = b"ingestd" * 10_000_000
_CALIBRATION_NUMBERS = [Random(1).random() for _ in range(400_000)]


def machine_facts() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mongod": _mongod_version(),
        "ingestd": __version__,
        "commit": _commit(),
        **{name: _package_version(name) for name in _PACKAGES},
    }


def load_average() -> float:
    """Processes that wanted to run during the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def calibration_s() -> float:
    """Processor seconds of a fixed piece of work: hashing, sorting, and Python's own loop.

    Processor time per row is divided by it, so that a slower or busier machine changes little.
    """
    started = time.process_time()
    hashlib.sha256(_CALIBRATION_BYTES).digest()
    sum(number * 2.0 for number in sorted(_CALIBRATION_NUMBERS) if number > 0.5)
    return time.process_time() - started


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _mongod_version() -> str:
    first, *_ = _output(str(find_mongod()), "--version").splitlines() or [""]
    return first.removeprefix("db version ")


def _commit() -> str:
    return _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
