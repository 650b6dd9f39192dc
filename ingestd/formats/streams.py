"""Pieces of bytes as a stream, for readers that want one."""

import io
from collections.abc import Iterator
from typing import Any


def as_stream(pieces: Iterator[bytes]) -> io.BufferedReader:
    """A stream of the pieces, in which nobody can seek."""
    return io.BufferedReader(_Pieces(pieces))


class _Pieces(io.RawIOBase):
    """The stream itself, unbuffered; an empty piece is none."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._read_bytes

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        self._read_bytes += size
        return size
