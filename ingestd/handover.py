"""How a worker's result reaches the daemon: its large buffers through memory that both share.

A pipe takes 64 KiB at a time, with a switch between the processes for each, and pickling copies
what is written and what is read once more: megabytes of documents cost more than twice as much
that way. PEP 574 lets a pickle leave its buffers on the side.
"""

import os
import pickle
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

_LEAST_BYTES = 2**16
"""What is smaller goes through the pipe like everything else."""
_KEPT_BYTES = 2**25
"""Memory that stays for the next result: pages made anew cost more than the copying."""


class Packed(NamedTuple):
    """A pickled result without its large buffers, and the length of each of these in bytes."""

    head: bytes
    sizes: tuple[int, ...] = ()


class Handover:
    """The daemon's side of one worker, which may hand over one result at a time."""

    def __init__(self) -> None:
        self._memory = open(os.memfd_create("handover"), "rb", buffering=0)  # noqa: SIM115
        self.address = f"/proc/{os.getpid()}/fd/{self._memory.fileno()}"
        """Where the worker opens it: processes of other users may not."""

    def unpack(self, packed: Packed) -> Any:
        """The result; the memory is free for the next one."""
        buffers, end = [], 0
        for size in packed.sizes:
            buffers.append(self._read(end, end + size))
            end += size
        if end > _KEPT_BYTES:
            os.truncate(self._memory.fileno(), 0)
        return pickle.loads(packed.head, buffers=buffers)  # noqa: S301 - made by a worker

    def _read(self, start: int, end: int) -> bytes:
        octets = os.pread(self._memory.fileno(), end - start, start)
        while start + len(octets) < end:  # a read ends at 2 GiB
            first = start + len(octets)
            octets += os.pread(self._memory.fileno(), end - first, first)
        return octets

    def close(self) -> None:
        """Give the memory back, once the worker is gone as well."""
        self._memory.close()


class Outlet:
    """The worker's side. Where there is no shared memory to be had, all goes through the pipe."""

    def __init__(self, address: str) -> None:
        self._memory: int | None = None
        with suppress(OSError):
            self._memory = os.open(address, os.O_WRONLY | os.O_CLOEXEC)

    def pack(self, result: object) -> Packed:
        """Pickle a result; what it offers as a ``PickleBuffer`` is put aside if it is large."""
        if self._memory is not None:
            with suppress(OSError):
                return _pack_aside(result, self._memory)
        return Packed(pickle.dumps(result, protocol=5))


@lru_cache(maxsize=1)
def outlet(address: str) -> Outlet:
    """The way out of this process, which is the worker of one ``Handover``."""
    return Outlet(address)


def _pack_aside(result: object, memory: int) -> Packed:
    aside: list[memoryview] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        octets = buffer.raw()
        if octets.nbytes < _LEAST_BYTES:
            return True
        aside.append(octets)
        return False

    head = pickle.dumps(result, protocol=5, buffer_callback=is_small)
    end = 0
    for octets in aside:
        end += _write(memory, octets, end)
    return Packed(head, tuple(octets.nbytes for octets in aside))


def _write(memory: int, octets: memoryview, start: int) -> int:
    written = 0
    while written < octets.nbytes:  # a write ends at 2 GiB
        written += os.pwrite(memory, octets[written:], start + written)
    return written
