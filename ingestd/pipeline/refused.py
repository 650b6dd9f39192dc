"""The refused records of a file that is loading, until its rejects file is written."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from ingestd.pipeline.errands import run_errand
from ingestd.records import Chunk, Rejections

_MOST_IN_MEMORY_BYTES = 2**16
"""More than that of a file goes to disk."""


class RefusedRecords:
    """At hand, so that they need not be read back from MongoDB, which takes longer than all else.

    They are in memory while they are few, then in a file that has no name, and that no crash
    leaves behind. Iterating gives them in the file's order.
    """

    def __init__(self, directory: Path, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        """Else some of them are in MongoDB alone."""
        self._directory = directory
        self._in_memory: dict[int, bytes] = {}
        self._on_disk: dict[int, tuple[int, int]] = {}
        self._file: BinaryIO | None = None
        self._lock = asyncio.Lock()

    async def keep(self, chunk: Chunk, rejections: Rejections) -> None:
        """Keep those of a chunk. Where there is no room for them, none are at hand any more."""
        if not rejections or not self.is_whole:
            return
        if rejections.records is None:
            self.close()
            return
        self._in_memory[chunk.start.row] = rejections.records
        if sum(map(len, self._in_memory.values())) > _MOST_IN_MEMORY_BYTES:
            async with self._lock:
                if self.is_whole:
                    records, self._in_memory = self._in_memory, {}
                    await run_errand(partial(self._put_aside, records))

    def _put_aside(self, records: Mapping[int, bytes]) -> None:
        try:
            if self._file is None:
                self._file = self._nameless_file()
            for row, octets in records.items():
                self._on_disk[row] = (self._file.tell(), len(octets))
                self._file.write(octets)
            self._file.flush()
        except OSError:
            self.close()

    def _nameless_file(self) -> BinaryIO:
        return TemporaryFile(dir=self._directory, prefix=".ingestd-", suffix=".tmp")

    def __iter__(self) -> Iterator[bytes]:
        for row in sorted((*self._in_memory, *self._on_disk)):
            yield self._in_memory[row] if row in self._in_memory else self._read(row)

    def _read(self, row: int) -> bytes:
        assert self._file is not None
        start, size = self._on_disk[row]
        return os.pread(self._file.fileno(), size, start)

    def close(self) -> None:
        """Keep nothing any more."""
        self.is_whole = False
        if self._file is not None:
            self._file.close()
