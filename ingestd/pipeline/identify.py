"""What a found file holds: its digest, and where to cut it. Synchronous: runs in a thread."""

import hashlib
import os
from dataclasses import dataclass

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import explaining, file_id, stat_of
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.records import FileLayout, FoundFile


@dataclass(frozen=True, slots=True)
class Identified:
    """A file whose content is known; ``layout`` is missing when it cannot be read as it should."""

    found: FoundFile
    sha256: bytes
    layout: FileLayout | None
    refusal: FileRefused | None = None

    @property
    def file_id(self) -> str:
        """The id it has in the ledger."""
        return file_id(self.found.source_name, self.sha256)


def identify(found: FoundFile, source: SourceSpec, limits: Limits) -> Identified:
    """Read the whole file once.

    Raises:
        FileUnavailable: it changed since it was found, or cannot be read.
    """
    try:
        layout = FORMATS[source.format].lay_out(found.path, found.stat, source, limits)
    except FileUnavailable:
        raise
    except FileRefused as refusal:
        return Identified(found, _digest(found), None, refusal)
    return Identified(found, layout.sha256, layout)


def _digest(found: FoundFile) -> bytes:
    """Of a file that is not what it should be.

    Raises:
        FileUnavailable: it changed since it was found, so the refusal is about another content.
    """
    with explaining("unreadable_file", found.path), found.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
        if not stat_of(os.fstat(stream.fileno())).is_same_content(found.stat):
            raise FileUnavailable("file_changed", f"{found.path.name} changed while it was read")
    return digest
