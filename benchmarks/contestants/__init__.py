"""Who loads. Each is one function of a trial, and named in ``CONTESTANTS``."""

import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from benchmarks.contestants.ceiling import measure_ceiling
from benchmarks.contestants.drop import measure_drop
from benchmarks.contestants.load import measure_load
from benchmarks.contestants.mongoimport import measure_mongoimport
from benchmarks.contestants.pandas import measure_pandas
from benchmarks.trial import Measurement, Trial

CONTESTANTS: Mapping[str, Callable[[Trial], Measurement]] = {
    "ceiling": measure_ceiling,
    "drop": measure_drop,
    "load": measure_load,
    "pandas": measure_pandas,
    "mongoimport": measure_mongoimport,
}


def is_present(contestant: str) -> bool:
    """Whether a contestant can run on this machine."""
    if contestant == "mongoimport":
        return shutil.which("mongoimport") is not None
    return contestant != "pandas" or find_spec("pandas") is not None
