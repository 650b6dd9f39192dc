"""Where refine runs: process slots here, a cluster later, behind one small interface.

A slot is a pool of one process, so that a crash, a hang or a kill costs exactly one task. The
start method is forkserver: Polars must not be forked, and a fresh interpreter per worker would
import everything once more than needed.
"""

import asyncio
import gc
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from ingestd.errors import WorkerHung, WorkerLost
from ingestd.events import Events
from ingestd.handover import Handover, Packed, outlet
from ingestd.memory import keep_freed_memory

Result = TypeVar("Result")

_NICENESS = 5
_LAST_WORDS_S = 2.0
"""For an answer that a worker had given just before it died."""

_START_LIMIT_S = 5.0
_WARM_LIMIT_S = 60.0
_SLOW_PART = 0.25
"""Of the time limit of a task: one that has taken so long is told."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Workers(Protocol):
    """Somewhere to run a function on picklable arguments."""

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Run it and return its result, or raise what it raised.

        Raises:
            WorkerLost: the worker died, or took longer than the limit. The call may be repeated.
        """
        ...

    async def run_alone(self, function: Callable[..., Result], *arguments: object) -> Result:
        """The same, while nothing else runs there: what it takes, it has for itself."""
        return await self.run(function, *arguments)


class ThisProcess(Workers):
    """No workers at all: a thread does it."""

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """See ``Workers.run``."""
        return await anyio.to_thread.run_sync(function, *arguments)


async def run_twice(
    workers: Workers, function: Callable[..., Result], *arguments: object
) -> Result:  # fmt: skip
    """Run it, and once more when its worker was lost: the reason may lie in another chunk.

    A worker that died was perhaps one too many for the memory there is. One that hangs would keep
    the others waiting.
    """
    try:
        return await workers.run(function, *arguments)
    except WorkerHung:
        return await workers.run(function, *arguments)
    except WorkerLost:
        return await workers.run_alone(function, *arguments)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """When a worker is replaced: a task takes longer, or memory between two tasks is more."""

    timeout_s: float = 300.0
    resident_bytes: int = 2**30


def _nothing() -> None:
    """Workers that need no warming up."""


class ProcessSlots:
    """Workers on this machine, one process each. New ones call ``warm`` before their first task."""

    def __init__(
        self, count: int, events: Events, limits: WorkerLimits,
        warm: Callable[[], object] = _nothing,
    ) -> None:  # fmt: skip
        self._events = events
        self._limits = limits
        self._slots = [_Slot(warm) for _ in range(count)]
        self._idle: asyncio.Queue[_Slot] = asyncio.Queue()
        self._begun: dict[_Slot, float] = {}
        """Since when (monotonic) each slot has been at its task."""
        self._gathering = asyncio.Lock()

    @property
    def count(self) -> int:
        """How many workers there are to be."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are up."""
        return [slot.pid for slot in self._slots if slot.pid]

    @property
    def slow_s(self) -> float:
        """For how long a worker has been at one task, if that is long enough to be told."""
        longest_s = time.monotonic() - min(self._begun.values(), default=time.monotonic())
        return longest_s if longest_s > self._limits.timeout_s * _SLOW_PART else 0.0

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
            with anyio.CancelScope(shield=True), anyio.move_on_after(_START_LIMIT_S):
                for slot in self._slots:
                    await slot.has_begun()
            for slot in self._slots:
                slot.kill()

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """See ``Workers.run``. Waits for an idle slot."""
        slot = await self._idle.get()
        try:
            return await self._run_in(slot, function, arguments)
        finally:
            self._idle.put_nowait(slot)

    async def run_alone(self, function: Callable[..., Result], *arguments: object) -> Result:
        """See ``Workers.run_alone``. Waits until all slots are idle, and keeps them so."""
        slots: list[_Slot] = []
        try:
            async with self._gathering:  # two that have some slots each would wait for ever
                while len(slots) < self.count:
                    slots.append(await self._idle.get())
            # What ended one worker may have ended those that were idle as well.
            youngest = max(slots, key=lambda slot: slot.started_at)
            return await self._run_in(youngest, function, arguments)
        finally:
            for slot in slots:
                self._idle.put_nowait(slot)

    async def _run_in(
        self, slot: "_Slot", function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> Result:
        reason = "cancelled"
        try:
            answer = await self._answer_of(slot, function, arguments)
            if answer is None:
                reason = "hung"
                raise WorkerHung(
                    f"a worker took longer than {self._limits.timeout_s:g} s for one chunk",
                    "is there a step in python that does not end? see refine.chunk_timeout",
                )
            reason = "memory" if answer[1] > self._limits.resident_bytes else ""
        except BrokenProcessPool as error:
            reason = "died"
            hint = "killed for memory? see the kernel log (journalctl -k)"
            raise WorkerLost("a worker process died", hint) from error
        except Exception:
            reason = reason if reason == "hung" else ""
            raise
        finally:
            if reason == "cancelled":
                slot.kill()
            elif reason:
                self._events.worker_replaced(reason)
                slot.restart()
        return answer[0]

    async def _answer_of(
        self, slot: "_Slot", function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> tuple[Result, int] | None:
        """``None`` when its time is over, which counts from when the worker is warm."""
        limit_s = self._limits.timeout_s
        with anyio.move_on_after(limit_s + _WARM_LIMIT_S):
            await slot.warmed()
            with anyio.move_on_after(limit_s), self._timed(slot):
                return await slot.run(function, arguments)
        return None

    @contextmanager
    def _timed(self, slot: "_Slot") -> Iterator[None]:
        self._begun[slot] = time.monotonic()
        try:
            yield
        finally:
            del self._begun[slot]


class _Slot:
    """One worker process and the pool around it."""

    def __init__(self, warm: Callable[[], object]) -> None:
        self.pid: int | None = None
        self.started_at = 0.0
        self._warm = warm
        self._pool: ProcessPoolExecutor | None = None
        self._handover: Handover | None = None
        self._ready: Future[int] = Future()
        self._warmed: Future[None] = Future()

    def start(self) -> None:
        """Start a process in the background; it warms up before its first task."""
        self.started_at = time.monotonic()
        self._handover = Handover()
        self._pool = pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("forkserver"),
            initializer=_become_worker,
            initargs=(os.getpid(),),
        )
        self._ready = pool.submit(os.getpid)
        self._ready.add_done_callback(lambda ready: self._remember_pid(ready, pool))
        self._warmed = pool.submit(_warm_up, self._warm)

    def _remember_pid(self, ready: Future[int], pool: ProcessPoolExecutor) -> None:
        """The pool's thread tells; when the slot was killed meanwhile, the process goes too."""
        with suppress(BrokenProcessPool, CancelledError):
            pid = ready.result()
            if self._pool is pool:
                self.pid = pid
            else:
                _kill(pid)

    async def run(
        self, function: Callable[..., Result], arguments: tuple[object, ...]
    ) -> tuple[Result, int]:
        """The function's result, and the worker's resident memory in bytes; it is warm already."""
        pool, handover = self._pool, self._handover
        assert pool is not None
        assert handover is not None
        pid = await asyncio.wrap_future(self._ready)
        answer = _overheard(pool.submit(_answer, handover.address, function, arguments))
        with _death_of(pid) as death:
            await asyncio.wait((answer, death), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await asyncio.wait((answer,), timeout=_LAST_WORDS_S)
        if not answer.done():
            answer.cancel()
            raise BrokenProcessPool("it died in the middle of its answer")
        packed, resident_bytes = answer.result()
        return handover.unpack(packed), resident_bytes

    async def has_begun(self) -> None:
        """Wait until the process is itself: killed while it starts, it complains on stderr."""
        if self._pool is not None:
            await asyncio.wait((_overheard(self._ready),))

    async def warmed(self) -> None:
        """Wait until the process is there and warm, or has died of it."""
        if self._pool is None:
            self.start()
        await asyncio.wait((_overheard(self._warmed),))

    def kill(self) -> None:
        """End the process at once; nothing in it is worth saving."""
        pool, pid, handover = self._pool, self.pid, self._handover
        self._pool = self.pid = self._handover = None
        if pid is not None:
            _kill(pid)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if handover is not None:
            handover.close()

    def restart(self) -> None:
        """A new process in the place of this one.

        One that got stuck or died while it warmed up is not warmed again: what one source does to
        its worker must not keep the others from theirs.
        """
        if not self._warmed.done() or self._warmed.cancelled() or self._warmed.exception():
            self._warm = _nothing
        self.kill()
        self.start()


def _overheard(future: Future[Result]) -> "asyncio.Future[Result]":
    """To be waited for, or left: that it ends badly then is no news for the event loop's log."""
    wrapped = asyncio.wrap_future(future)
    wrapped.add_done_callback(lambda done: done.cancelled() or done.exception())
    return wrapped


@contextmanager
def _death_of(pid: int) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the process has ended.

    A pool learns of a death only while it waits for an answer to begin: it would wait for ever
    for the rest of one.
    """
    loop = asyncio.get_running_loop()
    death: asyncio.Future[None] = loop.create_future()
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        death.set_result(None)
        yield death
        return

    def tell() -> None:
        loop.remove_reader(watch)
        death.set_result(None)

    loop.add_reader(watch, tell)
    try:
        yield death
    finally:
        loop.remove_reader(watch)
        os.close(watch)
        death.cancel()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _become_worker(daemon_pid: int) -> None:
    """Signals are the daemon's business, and without the daemon there is nothing to work for.

    Workers give way to the daemon and to a MongoDB on the same machine: ``/health`` has to be
    answered, and batches taken, while every core is busy refining.
    """
    keep_freed_memory()
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        daemon = os.pidfd_open(daemon_pid)
    except ProcessLookupError:
        os._exit(1)
    threading.Thread(target=_end_with, args=(daemon,), daemon=True).start()


def _end_with(daemon: int) -> None:
    """The parent is the fork server, which lives as long as its children: no death signal."""
    select.select([daemon], [], [])
    os._exit(1)


def _warm_up(warm: Callable[[], object]) -> None:
    """Trouble is left to the first task, which has somebody to tell it."""
    with suppress(Exception):
        _call(warm)
    gc.collect()
    gc.freeze()  # what is here now stays: going through it again and again costs more than a row


def _answer(
    handover: str, function: Callable[..., Any], arguments: tuple[object, ...]
) -> tuple[Packed, int]:
    """The result on its way out, and the resident memory of this process in bytes."""
    return outlet(handover).pack(_call(function, *arguments)), _resident_bytes()


def _call(function: Callable[..., Any], *arguments: object) -> Any:
    """What is no ``Exception`` (a panic in Rust, ``sys.exit`` in a step) would end the daemon."""
    try:
        return function(*arguments)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - so that the daemon never raises it
        raise RuntimeError(f"{type(error).__name__}: {error}") from None


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES
