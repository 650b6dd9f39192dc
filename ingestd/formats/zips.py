"""Zip archives: the one file in them as a stream, or several by their names."""

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ingestd.errors import FileRefused
from ingestd.formats.codecs import BZIP2, unpack
from ingestd.formats.damage import refusing_damage

MAGIC = b"PK\x03\x04"

_PIECE_BYTES = 2**18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""The others are rare, and may ask for any amount of memory."""

_IS_ENCRYPTED = 0x1  # general purpose bit flag (APPNOTE.TXT, section 4.4.4)
_SHOWN = 5
_MOST_MEMBERS = 10_000

SEVERAL_MEMBERS = "several_members"
"""The error type of an archive that is no file, but many."""


def unzip(stream: io.BufferedReader) -> Iterator[bytes]:
    """The content of the one file in the archive, in small pieces.

    Raises:
        FileRefused: there is none or more than one; it is damaged, encrypted or no plain archive.
    """
    with (
        refusing_damage("damaged_archive", "the zip archive"),
        zipfile.ZipFile(stream) as archive,
    ):
        yield from _pieces(archive, _only_member(archive))


@contextmanager
def opened_members(
    stream: io.BufferedReader,
) -> Iterator[Mapping[str, Callable[[], Iterator[bytes]]]]:
    """The files in an archive: by name, what gives their content in small pieces.

    Raises:
        FileRefused: it is damaged, encrypted or no plain archive, or two have one name.
    """
    with (
        refusing_damage("damaged_archive", "the zip archive"),
        zipfile.ZipFile(stream) as archive,
    ):
        members = _members(archive)
        for member in members:
            _require_plain(member)
        _require_different([member.filename for member in members])
        yield {member.filename: partial(_pieces, archive, member) for member in members}


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    if member.compress_type == zipfile.ZIP_BZIP2:
        yield from _unpacked_pieces(archive, member)
        return
    with archive.open(member) as content:
        yield from iter(partial(content.read, _PIECE_BYTES), b"")


def _unpacked_pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Of bzip2 data, which ``zipfile`` would unpack into any amount of memory."""
    packed, checksum = copy(member), 0
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC
    with archive.open(packed) as content:
        for piece in unpack(BZIP2, partial(content.read, _PIECE_BYTES)):
            checksum = zlib.crc32(piece, checksum)
            yield piece
    if checksum != member.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {member.filename!r}")


def _require_different(names: Sequence[str]) -> None:
    if len(names) > _MOST_MEMBERS:
        raise FileRefused(
            "wrong_archive", f"the zip archive holds {len(names)} files; allowed: {_MOST_MEMBERS}",
            "drop several archives",
        )  # fmt: skip
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise FileRefused(
            "wrong_archive", f"{name!r} stands in the zip archive {count} times",
            "which of them is right? Ask the sender",
        )  # fmt: skip


def is_workbook(file: Path) -> bool:
    """Whether the file is an Excel workbook (or another Office document)."""
    with _opened(file) as archive:
        return archive is not None and _is_office(archive)


def is_archive(file: Path | IO[bytes]) -> bool:
    """Whether the file is a zip archive of somebody's files."""
    with _opened(file) as archive:
        return archive is not None and not _is_office(archive)


def holds_several(file: Path) -> bool:
    """Whether the file is an archive of more files than one."""
    with _opened(file) as archive:
        return archive is not None and not _is_office(archive) and len(_members(archive)) > 1


@contextmanager
def _opened(file: Path | IO[bytes]) -> Iterator[zipfile.ZipFile | None]:
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        yield None  # whoever reads it says what is wrong with it
    else:
        with archive:
            yield archive


def _is_office(archive: zipfile.ZipFile) -> bool:
    return "[Content_Types].xml" in archive.namelist()


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    if _is_office(archive):
        raise FileRefused(
            "wrong_format", "this is an Excel workbook (or another Office document)",
            'for workbooks, the source needs format = "excel"',
        )  # fmt: skip
    members = _members(archive)
    if not members:
        raise FileRefused("empty_file", "the zip archive is empty", "ask the sender")
    if len(members) > 1:
        names = ", ".join(repr(member.filename) for member in members[:_SHOWN])
        more = ", …" if len(members) > _SHOWN else ""
        raise FileRefused(
            SEVERAL_MEMBERS, f"the zip archive holds {len(members)} files: {names}{more}",
            "unpack it, or pack each file by itself",
        )  # fmt: skip
    _require_plain(members[0])
    return members[0]


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in archive.infolist() if _is_content(member)]


def _is_content(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file of the sender's, and nothing that a Mac put beside it."""
    path = PurePosixPath(member.filename)
    return not (member.is_dir() or path.name.startswith(".") or path.parts[:1] == ("__MACOSX",))


def _require_plain(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    reason = ""
    if not path.name:
        reason = "has no name"
    elif path.is_absolute() or ".." in path.parts:
        reason = "has a name that leads out of the archive"
    elif member.flag_bits & _IS_ENCRYPTED:
        reason = "is encrypted"
    elif member.compress_type not in _METHODS:
        reason = f"is packed by method {member.compress_type}, which is not supported"
    if reason:
        raise FileRefused(
            "wrong_archive", f"{member.filename!r} in the zip archive {reason}",
            "drop the file itself, gzipped if it is large",
        )  # fmt: skip
