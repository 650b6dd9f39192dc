"""Where files go when they ended: archive, failed, rejects. Everything here can be repeated."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from ingestd.config.settings import PathSettings
from ingestd.errors import FileUnavailable
from ingestd.events import Events
from ingestd.files import FILE_GONE, free_name, move
from ingestd.ledger import Ledger
from ingestd.mongo import Document
from ingestd.records import ClaimedFile, Counts
from ingestd.rejects import Rejects, write_error_report


@dataclass(frozen=True, slots=True)
class PutAway:
    """Moves files out of the inbox, first saying in the ledger where to."""

    paths: PathSettings
    ledger: Ledger
    rejects: Rejects
    events: Events
    is_moving: bool = True
    """``False`` for files that belong to somebody else's directory: they stay where they are."""

    async def archive_target(self, file: ClaimedFile) -> Path | None:
        """A free place for a loaded file; ``None`` when it stays where it is."""
        if not self.is_moving:
            return None
        return await anyio.to_thread.run_sync(
            free_name, self._archive_directory(file.source_name, file.processed_at), file.path.name
        )

    def _archive_directory(self, source_name: str, moment: datetime) -> Path:
        return self.paths.archive / source_name / moment.strftime("%Y/%m/%d")

    async def failed_target(self, file: ClaimedFile) -> Path | None:
        """A free place for a file that failed or is held."""
        if not self.is_moving:
            return None
        directory = self.paths.failed / file.source_name
        return await anyio.to_thread.run_sync(free_name, directory, file.path.name)

    async def write_rejects(
        self, file: ClaimedFile, counts: Counts, header: bytes
    ) -> Path | None:  # fmt: skip
        """The refused rows of a loaded file, for a person to mend and drop again."""
        if not counts.error_count:
            return None
        directory = self.paths.rejects / file.source_name
        return await self.rejects.write_rejects_file(file, header, directory)

    async def move(self, file: ClaimedFile, identity: str, target: Path | None) -> Path | None:
        """Move a file to where the ledger says it goes, and record that it is there.

        A file that somebody else removed meanwhile is told, and goes nowhere.

        Raises:
            FileUnavailable: it cannot be moved now; the same call may pass later.
        """
        moved = None
        if target is not None:
            try:
                moved = await anyio.to_thread.run_sync(move, file.path, target, file.stat)
            except FileUnavailable as error:
                if error.error_type != FILE_GONE:
                    raise
                self.events.file_gone(file, error.message)
        await self.ledger.put_away(identity, moved)
        return moved

    async def set_aside(
        self, file: ClaimedFile, target: Path | None, error: Document, identity: str | None = None
    ) -> Path | None:
        """Move a file that did not load, with ``<name>.error.json`` beside it."""
        if target is not None:
            report = {
                "file": file.name, "source": file.source_name, "file_id": file.file_id,
                "sha256": file.sha256, "attempts": file.attempts, "error_type": error["type"],
                "message": error["message"], "hint": error["hint"], "found_at": file.found_at,
            }  # fmt: skip
            await anyio.to_thread.run_sync(write_error_report, target, report)
        return await self.move(file, identity or file.file_id, target)
