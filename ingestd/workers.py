"""Where refine runs: process slots here, a cluster later, behind one small interface.

A slot is a pool of one process, so that a crash, a hang or a kill costs exactly one task. The
start method is forkserver: Polars must not be forked, and a fresh interpreter per worker would
import everything once more than needed.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

import anyio

from ingestd.errors import WorkerLost
from ingestd.events import Events

Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_NICENESS = 5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Workers(Protocol):
    """Somewhere to run a function on picklable arguments."""

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run it and return its result, or raise what it raised.

        Raises:
            WorkerLost: the worker died, or took longer than the limit. The call may be repeated.
        """
        ...


class ProcessSlots:
    """Workers on this machine, one process each."""

    def __init__(
        self, count: int, events: Events, *, timeout_s: float, recycle_above: int
    ) -> None:  # fmt: skip
        self._events = events
        self._timeout_s = timeout_s
        self._recycle_above = recycle_above
        self._slots = [_Slot() for _ in range(count)]
        self._idle: asyncio.Queue[_Slot] = asyncio.Queue()

    @property
    def count(self) -> int:
        """How many workers there are to be."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are up."""
        return [slot.pid for slot in self._slots if slot.pid]

    @asynccontextmanager
    async def started(self) -> AsyncIterator["ProcessSlots"]:
        """Start all workers; they are ready, or on their way, when this returns."""
        os.environ["POLARS_MAX_THREADS"] = "1"
        try:
            for slot in self._slots:
                slot.start()
                self._idle.put_nowait(slot)
            yield self
        finally:
            for slot in self._slots:
                slot.kill()

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """See ``Workers.run``. Waits for an idle slot."""
        slot = await self._idle.get()
        try:
            return await self._run_in(slot, function, arguments)
        finally:
            self._idle.put_nowait(slot)

    async def _run_in(
        self, slot: "_Slot", function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> Result:
        reason = "cancelled"
        try:
            with anyio.fail_after(self._timeout_s):
                result, resident_bytes = await slot.run(function, arguments)
            reason = "memory" if resident_bytes > self._recycle_above else ""
        except BrokenProcessPool as error:
            reason = "died"
            raise WorkerLost("a worker process died", "killed for memory? see dmesg") from error
        except TimeoutError as error:
            reason = "hung"
            raise WorkerLost(
                f"a worker took longer than {self._timeout_s:.0f} s", "see refine.chunk_timeout"
            ) from error
        except Exception:
            reason = ""
            raise
        finally:
            if reason == "cancelled":
                slot.kill()
            elif reason:
                self._events.worker_replaced(reason)
                slot.restart()
        return result


class _Slot:
    """One worker process and the pool around it."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start a process in the background; it imports what it needs before its first task."""
        self._pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("forkserver"),
            initializer=_become_worker,
        )
        self._pool.submit(_warm_up).add_done_callback(self._remember_pid)

    def _remember_pid(self, ready: Future[int]) -> None:
        with suppress(BrokenProcessPool, asyncio.CancelledError):
            self.pid = ready.result()

    async def run(
        self, function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> tuple[Result, int]:
        """The function's result, and the worker's resident memory in bytes."""
        if self._pool is None:
            self.start()
        assert self._pool is not None
        return await asyncio.wrap_future(self._pool.submit(_call, function, arguments))

    def kill(self) -> None:
        """End the process at once; nothing in it is worth saving."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.pid = self._pool = None

    def restart(self) -> None:
        """A new process in the place of this one."""
        self.kill()
        self.start()


def _become_worker() -> None:
    """Signals are the daemon's business, and without the daemon there is nothing to work for.

    Workers give way to the daemon and to a MongoDB on the same machine: ``/health`` has to be
    answered, and batches taken, while every core is busy refining.
    """
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # the daemon died before the line above
        os._exit(1)


def _warm_up() -> int:
    import ingestd.refine  # noqa: PLC0415 - the point is to import it in the worker

    assert ingestd.refine
    return os.getpid()


def _call(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[Any, int]:
    return function(*arguments), _resident_bytes()


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES


def usable_cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0))
