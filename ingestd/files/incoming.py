"""A file that is being received: nobody finds it before it is complete and durable."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ingestd.files.temporary import open_temporary
from ingestd.files.trouble import explaining
from ingestd.files.write import rename_new, sync_directory

_HEAD_BYTES = 16


@dataclass(slots=True)
class Incoming:
    """Hidden beside its target until it is kept. Everything raises FileUnavailable."""

    target: Path
    size_bytes: int = 0
    head: bytes = b""
    """Its first bytes."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _temporary: Path = field(init=False)
    _file: BinaryIO = field(init=False)

    def begin(self) -> None:
        """Take up room for it."""
        with explaining("unwritable_file", self.target):
            self._file = open_temporary(self.target.parent, buffering=0)
        self._temporary = Path(self._file.name)

    def write(self, part: bytes) -> None:
        """Add what came."""
        with explaining("unwritable_file", self._temporary):
            rest = memoryview(part)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(part)
        self.head = self.head or part[:_HEAD_BYTES]
        self.size_bytes += len(part)

    @property
    def sha256(self) -> bytes:
        """Of everything that came so far."""
        digest: bytes = self._digest.digest()
        return digest

    def keep(self) -> None:
        """It is complete: from now on it can be found. Raises FileExistsError."""
        with explaining("unwritable_file", self.target):
            os.fsync(self._file.fileno())
            rename_new(self._temporary, self.target)
            sync_directory(self.target.parent)

    def end(self) -> None:
        """Leave nothing behind; what was kept stays."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)
