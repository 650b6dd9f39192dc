"""Files that are something else than their source says."""

from collections.abc import Mapping

from ingestd.errors import FileRefused

_NAMES: Mapping[bytes, str] = {
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"PK\x03\x04": "a zip archive (or an Excel workbook)",
    b"PAR1": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"%PDF-": "a PDF document",
    b"<!DOCTYPE": "an HTML page",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML document",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (or another Office document)",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_TAR, _TAR_PLACE = b"ustar", 257
"""POSIX.1, pax, "ustar Interchange Format": what stands before it is padded with NUL."""
_TAR_NAME = "a tar archive"
_TAR_HINT = "drop the files in it, or pack them as a zip archive"

MAGIC_BYTES = _TAR_PLACE + len(_TAR)
"""So much of a file tells whether it is one of these."""


def name_of(start: bytes) -> str | None:
    """What a file is that begins so, if it is one of the kinds that people mix up."""
    if start.startswith(_TAR, _TAR_PLACE) and b"\0" in start[:_TAR_PLACE]:
        return _TAR_NAME
    return next((name for magic, name in _NAMES.items() if start.startswith(magic)), None)


def refuse_others(start: bytes, expected: str) -> None:
    """Raises FileRefused when a file that begins so is empty, or of a kind that people mix up
    with what is expected."""
    if not start:
        raise FileRefused("empty_file", "the file is empty", "nothing to load; ask the sender")
    if name := name_of(start):
        hint = "convert it, or point a source of the right format at it"
        raise FileRefused(
            "wrong_format", f"this is {name}, not {expected}",
            _TAR_HINT if name == _TAR_NAME else hint,
        )  # fmt: skip
