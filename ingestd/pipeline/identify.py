"""What a found file holds: its digest, and where to cut it. Synchronous: runs in a thread."""

import time
from dataclasses import dataclass

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import digest_of, file_id
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.formats.zips import SEVERAL_MEMBERS
from ingestd.pipeline.manifest import broken_promise
from ingestd.records import FileLayout, FoundFile


@dataclass(frozen=True, slots=True)
class Identified:
    """A file whose content is known; ``layout`` is missing when it is not what it should be."""

    found: FoundFile
    sha256: bytes
    layout: FileLayout | None
    refusal: FileRefused | None = None
    read_s: float = 0.0
    """How long it took to read it."""

    @property
    def is_archive(self) -> bool:
        """Whether it is no file, but several; where something is said of one, it has to be one."""
        found, refusal = self.found, self.refusal
        is_one = found.manifest or found.replaces or found.name_in_archive
        return refusal is not None and refusal.error_type == SEVERAL_MEMBERS and not is_one

    @property
    def file_id(self) -> str:
        """The id it has in the ledger."""
        return file_id(self.found.source_name, self.sha256)


def identify(found: FoundFile, source: SourceSpec, limits: Limits) -> Identified:
    """Read the whole file once.

    Raises:
        FileUnavailable: it changed since it was found, or cannot be read.
    """
    began_at = time.monotonic()
    layout, refusal = _lay_out(found, source, limits)
    sha256 = layout.sha256 if layout else digest_of(found.path, found.stat)
    refusal = broken_promise(found, layout) or refusal
    read_s = time.monotonic() - began_at
    return Identified(found, sha256, None if refusal else layout, refusal, read_s)


def _lay_out(
    found: FoundFile, source: SourceSpec, limits: Limits
) -> tuple[FileLayout | None, FileRefused | None]:
    try:
        return FORMATS[source.format].lay_out(found.path, found.stat, source, limits), None
    except FileUnavailable:
        raise
    except FileRefused as refusal:
        return None, refusal
