"""How an archive ends: when all files in it have. The ledger knows them, and not the archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingestd.errors import FileUnavailable
from ingestd.files import FILE_GONE, displayable
from ingestd.pipeline.desk import Desk, Ended
from ingestd.pipeline.errands import run_errand
from ingestd.pipeline.unpack import Unpacked, clear
from ingestd.records import SET_ASIDE, Counts, FileResult, FileState, FoundFile

_SHOWN = 5


@dataclass(slots=True)
class Archive:
    """An archive of which the files are loading; hears how each of them ends."""

    desk: Desk
    unpacked: Unpacked
    results: list[FileResult] = field(default_factory=list)
    """Of the files with which nothing more is to be done."""
    retries: list[float] = field(default_factory=list)
    """After how many seconds the others are to be offered again."""

    def file_done(
        self, found: FoundFile, result: FileResult | None, retry_after_s: float | None
    ) -> None:
        """One of its files has ended, or waits for another try."""
        if retry_after_s is not None:
            self.retries.append(retry_after_s)
        elif result is not None:
            self.results.append(result)
            self.desk.events.file_unblocked(found.source_name, found.path)

    async def end(self) -> Ended:
        """Put it away if everything in it has ended; else it is offered again, with the rest."""
        archive = self.unpacked.archive
        if len(self.results) < len(self.unpacked.files):
            self._tell_obstacles()
            return None, min(self.retries, default=None)
        try:
            moved = await self.desk.put_away.move_archive(archive)
        except FileUnavailable as error:
            if error.error_type != FILE_GONE:
                raise
            moved = None
        await run_errand(partial(clear, self.unpacked))
        return _result(archive, self.results, moved), None

    def _tell_obstacles(self) -> None:
        """The archive waits for what one of its files waits for."""
        archive, events = self.unpacked.archive, self.desk.events
        for blocked in events.blocked_files(archive.source_name):
            if blocked.path.is_relative_to(self.unpacked.directory):
                told = f"{displayable(blocked.path.name)}: {blocked.reason}"
                events.file_blocked(archive.source_name, archive.path, told, blocked.hint)
                break


def _result(
    archive: FoundFile, results: Sequence[FileResult], moved_to: Path | None
) -> FileResult:  # fmt: skip
    """What became of the archive as a whole."""
    bad = [result for result in results if result.state in SET_ASIDE]
    loaded = FileState.LOADED if moved_to is None else FileState.ARCHIVED
    names = ", ".join(f"{result.name} ({result.message})" for result in bad[:_SHOWN])
    message = f"{len(bad)} of the {len(results)} files in it did not load: {names}"
    return FileResult(
        "", archive.source_name, displayable(archive.name),
        FileState.FAILED if bad else loaded,
        sum((result.counts for result in results), Counts()),
        message if bad else "", "each lies in failed/ with its reason" if bad else "", moved_to,
    )  # fmt: skip
