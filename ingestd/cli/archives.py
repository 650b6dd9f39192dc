"""Files that people name in a command, and those in zip archives of several."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ingestd.files import look
from ingestd.formats.limits import Limits
from ingestd.formats.zips import holds_several
from ingestd.ledger import now
from ingestd.pipeline.unpack import unpack
from ingestd.records import FoundFile


@contextmanager
def opened_archives(
    paths: Sequence[Path], limits: Limits, *, are_single: bool = False
) -> Iterator[tuple[FoundFile, ...]]:
    """The files, and in the place of archives those in them, unpacked for as long as it takes.

    ``are_single``: an archive of several is none of the files that are wanted, and stays closed.

    Raises:
        FileRefused: an archive is damaged, or unpacks to more than it may.
        FileUnavailable: a file cannot be read.
    """
    with TemporaryDirectory(prefix="ingestd-") as scratch:
        found = [FoundFile("sample", path, look(path), now()) for path in paths]
        yield tuple(
            file
            for one in found
            for file in (_members(one, Path(scratch), limits) if not are_single else (one,))
        )


def _members(found: FoundFile, scratch: Path, limits: Limits) -> tuple[FoundFile, ...]:
    return unpack(found, scratch, limits).files if holds_several(found.path) else (found,)
