"""Where files go when they ended: archive, failed, rejects. Everything here can be repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from ingestd.config.settings import PathSettings
from ingestd.errors import FileUnavailable
from ingestd.events import Events
from ingestd.files import (
    FILE_GONE,
    Mounts,
    Move,
    digest_of,
    free_name,
    look,
    move,
    move_all,
    move_beside,
)
from ingestd.ledger import Ledger
from ingestd.mongo import Document
from ingestd.pipeline.errands import run_errand
from ingestd.records import ClaimedFile, FoundFile
from ingestd.rejects import Refused, Rejects, write_error_report, write_rejects_files


@dataclass(frozen=True, slots=True)
class Leaving:
    """A file on its way out of the inbox; without a target it stays, and is only recorded."""

    file: ClaimedFile
    target: Path | None
    identity: str
    """Of its ledger entry: mostly the file id."""


class PutAway:
    """Moves files out of the inbox, first saying in the ledger where to.

    ``is_moving`` is ``False`` for files that belong to somebody else's directory: they stay.
    """

    def __init__(
        self, paths: PathSettings, ledger: Ledger, rejects: Rejects, events: Events, *,
        is_moving: bool = True,
    ) -> None:  # fmt: skip
        self._paths = paths
        self._ledger = ledger
        self._rejects = rejects
        self._events = events
        self._is_moving = is_moving
        self._mounts = Mounts((paths.archive, paths.failed, paths.rejects))

    async def archive_targets(self, files: Sequence[ClaimedFile]) -> list[Path | None]:
        """A free place for each loaded file; ``None`` when they stay where they are."""
        return await self._free_places(
            [
                (self._archive_directory(file.source_name, file.processed_at), file.path.name)
                for file in files
            ]
        )

    def _archive_directory(self, source_name: str, at: datetime) -> Path:
        return self._paths.archive / source_name / at.strftime("%Y/%m/%d")

    async def failed_target(self, file: ClaimedFile) -> Path | None:
        """A free place for a file that failed or is held."""
        directory = self._paths.failed / file.source_name
        return (await self._free_places([(directory, file.path.name)]))[0]

    async def _free_places(self, wanted: Sequence[tuple[Path, str]]) -> list[Path | None]:
        if not self._is_moving:
            return [None] * len(wanted)
        return await run_errand(lambda: [free_name(*place) for place in wanted])

    async def write_rejects(self, refused: Sequence[Refused]) -> dict[str, Path | Exception]:
        """The refused rows of loaded files of a source, for a person to mend and drop again.

        Returns:
            by file id the rejects file; or why it cannot be written: the same call may pass later.
        """
        if not refused:
            return {}
        directory = self._paths.rejects / refused[0].file.source_name
        await self._require_mounted(directory)
        at_hand = [one for one in refused if one.records is not None]
        places = (
            await run_errand(partial(write_rejects_files, at_hand, directory)) if at_hand else ()
        )
        written: dict[str, Path | Exception] = {
            one.file.file_id: place for one, place in zip(at_hand, places, strict=True)
        }
        for one in refused:
            if one.records is None:
                written[one.file.file_id] = await self._read_back(one, directory)
        await self._note(written)
        return written

    async def _note(self, written: Mapping[str, Path | Exception]) -> None:
        """So that it can be told, when the rows are taken back, whether a person has changed it."""
        places = {key: place for key, place in written.items() if isinstance(place, Path)}
        digests = await run_errand(lambda: [digest_of(one, look(one)) for one in places.values()])
        await self._ledger.note_rejects(
            [*zip(places.keys(), places.values(), digests, strict=True)]
        )

    async def _read_back(self, refused: Refused, directory: Path) -> Path | Exception:
        try:
            return await self._rejects.write_rejects_file(refused.file, refused.shape, directory)
        except Exception as error:  # noqa: BLE001 - of this file alone
            return error

    async def move_archive(self, archive: FoundFile) -> Path | None:
        """Move an archive whose files have all ended. It has no entry: its files have theirs.

        Raises:
            FileUnavailable: it cannot be moved now; the same call may pass later.
        """
        directory = self._archive_directory(archive.source_name, archive.found_at)
        (target,) = await self._free_places([(directory, archive.path.name)])
        if target is None:
            return None
        await self._require_mounted(target)
        return await run_errand(partial(move, archive.path, target, archive.stat))

    async def move(self, leaving: Leaving) -> Path | None:
        """Move one file.

        Raises:
            FileUnavailable: it cannot be moved now; the same call may pass later.
        """
        moved = (await self.move_all([leaving]))[leaving.identity]
        if isinstance(moved, Exception):
            raise moved
        return moved

    async def move_all(self, leaving: Sequence[Leaving]) -> dict[str, Path | Exception | None]:
        """Move files to where the ledger says they go, and record that they are there.

        A file that somebody else removed meanwhile is told, and goes nowhere.

        Returns:
            by identity where the file is now; or why it cannot be moved: it may be, later.
        """
        going = [one for one in leaving if one.target is not None]
        moves = [Move(one.file.path, one.target, one.file.stat) for one in going if one.target]
        places = await run_errand(partial(self._move, moves))
        await self._move_manifests(going, places)
        moved: dict[str, Path | Exception | None] = {one.identity: None for one in leaving}
        for one, place in zip(going, places, strict=True):
            moved[one.identity] = self._unless_gone(one, place)
        left = [(key, at) for key, at in moved.items() if not isinstance(at, Exception)]
        for (key, _), refusal in zip(left, await self._ledger.put_away_all(left), strict=True):
            moved[key] = refusal or moved[key]
        return moved

    def _move(self, moves: Sequence[Move]) -> Sequence[Path | FileUnavailable]:
        try:
            for one in moves:
                self._mounts.require(one.target)
        except FileUnavailable as error:
            return [error] * len(moves)
        return move_all(moves)

    async def _require_mounted(self, place: Path) -> None:
        await run_errand(partial(self._mounts.require, place))

    async def _move_manifests(
        self, leaving: Sequence[Leaving], places: Sequence[Path | FileUnavailable]
    ) -> None:
        """A manifest goes where its file went. One that cannot is told, and keeps no file."""
        for one, place in zip(leaving, places, strict=True):
            manifest = one.file.manifest
            if manifest is None or isinstance(place, FileUnavailable):
                continue
            try:
                await run_errand(partial(move_beside, manifest, one.file.path, place))
            except FileUnavailable as error:
                self._events.side_file_left(manifest, error.message)

    def _unless_gone(
        self, leaving: Leaving, place: Path | FileUnavailable
    ) -> Path | FileUnavailable | None:
        if isinstance(place, FileUnavailable) and place.error_type == FILE_GONE:
            self._events.file_gone(leaving.file, place.message)
            return None
        return place

    async def set_aside(
        self, file: ClaimedFile, target: Path | None, error: Document, identity: str | None = None
    ) -> Path | None:
        """Move a file that did not load, with ``<name>.error.json`` beside it."""
        if target is not None:
            await self._require_mounted(target)
            report = {
                "file": file.name, "source": file.source_name, "file_id": file.file_id,
                "sha256": file.sha256, "attempts": file.tries, "error_type": error["type"],
                "message": error["message"], "hint": error["hint"],
                "found_at": file.found_at.isoformat(),
            }  # fmt: skip
            await run_errand(partial(write_error_report, target, report))
        return await self.move(Leaving(file, target, identity or file.file_id))
