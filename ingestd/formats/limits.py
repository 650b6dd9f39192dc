"""How much of a file is taken at once, and whether it is still the file that was found."""

import os
from dataclasses import dataclass

from ingestd.records import FileStat


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes: of a chunk, about; of a record and of an unpacked file, at most."""

    chunk_bytes: int = 2**21
    max_record_bytes: int = 2**23
    max_unpacked_bytes: int = 2**40
    max_unpack_ratio: int = 1000
    """How many times as large as a compressed file its content may be."""


def changed(now: os.stat_result, found: FileStat) -> bool:
    """Whether somebody wrote to the file, or put another in its place, since it was found."""
    return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
        found.device,
        found.inode,
        found.size_bytes,
        found.mtime_ns,
    )
