"""What workers are asked to do in tests: good and bad tasks, by name, so that they pickle."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from ingestd.errors import ConfigError, IngestdError, Problem


def add(a: int, b: int) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def fail_with(error: IngestdError) -> NoReturn:
    raise error


def exit_at_once() -> NoReturn:
    sys.exit(3)


def time_out() -> NoReturn:
    raise TimeoutError("a disk did not answer")


def raise_something_unpicklable() -> NoReturn:
    raise ValueError(threading.Lock())


def return_something_unpicklable() -> object:
    return threading.Lock()


def panic() -> NoReturn:
    """As Polars does when it finds a defect of its own."""
    import polars as pl

    raise pl.exceptions.PanicException("index out of bounds")


def note_span(path: Path, is_alone: bool) -> None:
    """Write down from when to when it ran."""
    began = time.monotonic()
    threading.Event().wait(0.02)
    path.write_text(f"{began} {time.monotonic()} {int(is_alone)}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    threading.Event().wait()


def take_memory(count: int) -> int:
    """Keep memory, and touch it so that it is resident."""
    _kept.append(bytearray(os.urandom(count)))
    return os.getpid()


_kept: list[bytearray] = []


def wait_for(path: Path) -> int:
    """Until the file is there, a minute at most."""
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"{path} never came")
        time.sleep(0.005)
    return os.getpid()


def tell_and_wait(told: Path, awaited: Path) -> int:
    told.touch()
    return wait_for(awaited)


def signal_yourself() -> str:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return "still here"


def remember() -> None:
    _warmed.append(1)


def times_warmed() -> int:
    return len(_warmed)


_warmed: list[int] = []


def refuse_to_warm_up() -> NoReturn:
    raise ConfigError((Problem("a.toml", "name", "is wrong"),))


def die_while_answering() -> bytes:
    """Killed when a part of a long answer has been written: the rest never comes."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Timer(0.2, kill).start()
    return bytes(2**31 - 2**20)
