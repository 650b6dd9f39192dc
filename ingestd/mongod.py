"""The private mongod: found, started, watched over and stopped with the daemon."""

import importlib.util
import shutil
from pathlib import Path


def find_mongod() -> Path | None:
    """The mongod on PATH, else the one of the optional dependency, else None."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec and spec.submodule_search_locations) or ():
        in_wheel = Path(place) / "db" / "bin" / "mongod"
        if in_wheel.is_file():
            return in_wheel
    return None
