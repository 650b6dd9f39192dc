"""Digests of the whole content of a file."""

import hashlib
import os
from pathlib import Path

from ingestd.errors import FileChanged
from ingestd.files.identity import displayable
from ingestd.files.look import stat_of
from ingestd.files.trouble import explaining
from ingestd.records import FileStat


def digest_of(path: Path, stat: FileStat, algorithm: str = "sha256") -> bytes:
    """The digest of the file that was found, by one of the algorithms of ``hashlib``.

    Raises:
        FileUnavailable: it cannot be read, or changed since it was found.
    """
    with explaining("unreadable_file", path), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, algorithm).digest()
        if not stat_of(os.fstat(stream.fileno())).is_same_content(stat):
            raise FileChanged("file_changed", f"{displayable(path.name)} changed while it was read")
    return digest
