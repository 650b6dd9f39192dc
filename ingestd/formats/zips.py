"""Zip archives with one file in them."""

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from ingestd.errors import FileRefused
from ingestd.formats.damage import refusing_damage

MAGIC = b"PK\x03\x04"

_PIECE_BYTES = 2**18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""The others are rare, and may ask for any amount of memory."""

_IS_ENCRYPTED = 0x1  # general purpose bit flag (APPNOTE.TXT, section 4.4.4)
_SHOWN = 5


def unzip(stream: io.BufferedReader) -> Iterator[bytes]:
    """The content of the one file in the archive, in small pieces.

    Raises:
        FileRefused: there is none or more than one; it is damaged, encrypted or no plain archive.
    """
    with (
        refusing_damage("damaged_archive", "the zip archive"),
        zipfile.ZipFile(stream) as archive,
        archive.open(_only_member(archive)) as content,
    ):
        yield from iter(partial(content.read, _PIECE_BYTES), b"")


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    if "[Content_Types].xml" in archive.namelist():
        raise FileRefused(
            "wrong_format", "this is an Excel workbook (or another Office document)",
            'for workbooks, the source needs format = "excel"',
        )  # fmt: skip
    members = [member for member in archive.infolist() if _is_content(member)]
    if not members:
        raise FileRefused("empty_file", "the zip archive is empty", "ask the sender")
    if len(members) > 1:
        names = ", ".join(repr(member.filename) for member in members[:_SHOWN])
        more = ", …" if len(members) > _SHOWN else ""
        raise FileRefused(
            "several_members", f"the zip archive holds {len(members)} files: {names}{more}",
            "unpack it, or pack each file by itself",
        )  # fmt: skip
    _require_plain(members[0])
    return members[0]


def _is_content(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file of the sender's, and nothing that a Mac put beside it."""
    path = PurePosixPath(member.filename)
    return not (member.is_dir() or path.name.startswith(".") or path.parts[0] == "__MACOSX")


def _require_plain(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    reason = ""
    if path.is_absolute() or ".." in path.parts:
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
