"""Where files go when they ended: archive, failed, rejects. Everything here can be repeated."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ingestd.config.settings import PathSettings
from ingestd.errors import FileUnavailable
from ingestd.events import Events
from ingestd.files import FILE_GONE, free_name, move
from ingestd.ledger import Ledger
from ingestd.mongo import Document
from ingestd.pipeline.together import Errand, Together, run_errands
from ingestd.records import ClaimedFile, Shape
from ingestd.rejects import Rejects, write_error_report, write_few_rejects


class PutAway:
    """Moves files out of the inbox, first saying in the ledger where to.

    ``is_moving`` is ``False`` for files that belong to somebody else's directory: they stay.
    """

    def __init__(
        self, paths: PathSettings, ledger: Ledger, rejects: Rejects, events: Events, *,
        is_moving: bool = True,
    ) -> None:  # fmt: skip
        self._paths = paths
        self._rejects = rejects
        self._events = events
        self._is_moving = is_moving
        self._errand = Together[Errand, Any](run_errands)
        self._record = Together[tuple[str, Path | None], None](ledger.put_away_all)

    async def archive_target(self, file: ClaimedFile) -> Path | None:
        """A free place for a loaded file; ``None`` when it stays where it is."""
        if not self._is_moving:
            return None
        directory = self._archive_directory(file.source_name, file.processed_at)
        place: Path = await self._errand(partial(free_name, directory, file.path.name))
        return place

    def _archive_directory(self, source_name: str, moment: datetime) -> Path:
        return self._paths.archive / source_name / moment.strftime("%Y/%m/%d")

    async def failed_target(self, file: ClaimedFile) -> Path | None:
        """A free place for a file that failed or is held."""
        if not self._is_moving:
            return None
        directory = self._paths.failed / file.source_name
        place: Path = await self._errand(partial(free_name, directory, file.path.name))
        return place

    async def write_rejects(
        self, file: ClaimedFile, shape: Shape, refused: Sequence[bytes] | None
    ) -> Path:
        """The refused rows of a loaded file, for a person to mend and drop again.

        ``refused``: the records, when they are at hand; else they are read from ``errors``.
        """
        directory = self._paths.rejects / file.source_name
        if refused is None:
            return await self._rejects.write_rejects_file(file, shape, directory)
        place: Path = await self._errand(
            partial(write_few_rejects, file, shape, refused, directory)
        )
        return place

    async def move(self, file: ClaimedFile, identity: str, target: Path | None) -> Path | None:
        """Move a file to where the ledger says it goes, and record that it is there.

        A file that somebody else removed meanwhile is told, and goes nowhere.

        Raises:
            FileUnavailable: it cannot be moved now; the same call may pass later.
        """
        moved = None
        if target is not None:
            try:
                moved = await self._errand(partial(move, file.path, target, file.stat))
            except FileUnavailable as error:
                if error.error_type != FILE_GONE:
                    raise
                self._events.file_gone(file, error.message)
        await self._record((identity, moved))
        return moved

    async def set_aside(
        self, file: ClaimedFile, target: Path | None, error: Document, identity: str | None = None
    ) -> Path | None:
        """Move a file that did not load, with ``<name>.error.json`` beside it."""
        if target is not None:
            report = {
                "file": file.name, "source": file.source_name, "file_id": file.file_id,
                "sha256": file.sha256, "attempts": file.attempts, "error_type": error["type"],
                "message": error["message"], "hint": error["hint"],
                "found_at": file.found_at.isoformat(),
            }  # fmt: skip
            await self._errand(partial(write_error_report, target, report))
        return await self.move(file, identity or file.file_id, target)
