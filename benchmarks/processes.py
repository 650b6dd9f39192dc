"""What a process and all it started cost: processor time and memory, read from /proc (proc(5))."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_EVERY_S = 0.025
_PSS_EVERY = 10
"""Looks between two of PSS, for which the kernel walks all page tables."""
_COMMAND_LIMIT_S = 3600.0
_GONE = (FileNotFoundError, ProcessLookupError)


class CommandFailed(Exception):
    """A measured command ended as it should not have."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process tree, while it was watched. Memory is that of all its processes together."""

    main_cpu_s: float = 0.0
    workers_cpu_s: float = 0.0
    """Of every process but the first, also of those that have ended."""
    peak_rss_bytes: int = 0
    peak_pss_bytes: int = 0
    """Like RSS, but of what several processes share each counts only its part."""

    @property
    def cpu_s(self) -> float:
        return self.main_cpu_s + self.workers_cpu_s


class Meter:
    """Watches a process and its descendants from a thread; ``cost`` once the block has ended.

    Of a process that ends between two looks, at most one look's time is missed. A zombie can
    still be read: who awaits the process should reap it after the block.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu_before = {pid: cpu_s(pid) for pid in tree_of(pid)}
        self._cpu = dict(self._cpu_before)
        self._peak_rss = self._peak_pss = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._is_over.set()
        self._thread.join()
        self._look(with_pss=False)

    @property
    def cost(self) -> Cost:
        spent = {pid: cpu - self._cpu_before.get(pid, 0.0) for pid, cpu in self._cpu.items()}
        main = spent.pop(self._pid)
        return Cost(main, sum(spent.values()), self._peak_rss, self._peak_pss)

    def _watch(self) -> None:
        looks = 0
        while not self._is_over.wait(_LOOK_EVERY_S):
            self._look(with_pss=looks % _PSS_EVERY == 0)
            looks += 1

    def _look(self, *, with_pss: bool) -> None:
        pids = tree_of(self._pid)
        for pid in pids:
            with suppress(*_GONE):
                self._cpu[pid] = cpu_s(pid)
        self._peak_rss = max(self._peak_rss, sum(map(rss_bytes, pids)))
        if with_pss:
            self._peak_pss = max(self._peak_pss, sum(map(pss_bytes, pids)))


def tree_of(pid: int) -> list[int]:
    """A process and its living descendants."""
    found = [pid]
    for parent in found:  # grows while it is walked
        with suppress(*_GONE):
            for task in os.listdir(f"/proc/{parent}/task"):
                with suppress(*_GONE):
                    children = Path(f"/proc/{parent}/task/{task}/children").read_text()
                    found += map(int, children.split())
    return found


def cpu_s(pid: int) -> float:
    """Processor time of one process, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    with suppress(*_GONE):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def pss_bytes(pid: int) -> int:
    with suppress(*_GONE, PermissionError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended, with what it printed, read as JSON if it printed any."""

    seconds: float
    cost: Cost
    answer: Any


def run_measured(
    command: Sequence[str], environment: Mapping[str, str], allowed_codes: Sequence[int] = (0,)
) -> Ran:
    """Run a command from start to end.

    Raises:
        CommandFailed: it ended with another code than those allowed.
    """
    with TemporaryFile() as out, TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        with _limited(process), Meter(process.pid) as meter:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seconds = time.perf_counter() - started
        if process.wait() not in allowed_codes:
            words = _content(err)[-2000:]
            raise CommandFailed(f"{command[:5]} ended with {process.returncode}: {words}")
        answer = _content(out)
    return Ran(seconds, meter.cost, json.loads(answer) if answer.startswith("{") else None)


@contextmanager
def _limited(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process that takes too long, or is still there when this one is interrupted."""
    limit = threading.Timer(_COMMAND_LIMIT_S, process.kill)
    limit.start()
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        limit.cancel()


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace").strip()
