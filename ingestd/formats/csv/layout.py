"""One pass over a CSV file: its digest, its header, and the cuts between its chunks."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.formats.csv.dialect import Dialect, dialect_of, split_fields
from ingestd.formats.csv.records import Scan, read_records
from ingestd.formats.csv.structure import (
    Structure,
    field_counts,
    multiline_records,
    read_structure,
)
from ingestd.formats.limits import Limits, changed
from ingestd.records import Chunk, FileLayout, FileStat, Position

_BOM = b"\xef\xbb\xbf"
_MAX_LINE_BYTES = 2**26
"""A longer run without a record end is no CSV: reading it whole would break the memory bound."""

_NOT_CSV = {
    b"\x1f\x8b": "gzip data",
    b"PK\x03\x04": "a zip archive (or an Excel workbook)",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x28\xb5\x2f\xfd": "zstd data",
}


@dataclass(frozen=True, slots=True)
class _Cut:
    """What was taken from the front of a block: so many bytes, records and lines."""

    size_bytes: int
    rows: int
    lines: int
    is_regular: bool


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """Read the whole file once.

    Raises:
        FileRefused: empty, not CSV, or its header lacks a column of the schema.
        FileUnavailable: it changed meanwhile or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            if changed(os.fstat(stream.fileno()), stat):
                raise FileUnavailable("file_changed", f"{path.name} changed before it was read")
            found = _lay_out(_Reader(stream.fileno(), digest, limits.chunk_bytes), source, limits)
            if changed(os.fstat(stream.fileno()), stat):
                raise FileUnavailable(
                    "file_changed",
                    f"{path.name} changed while it was read",
                    "write under another name and rename when it is complete",
                )
    except OSError as error:
        raise FileUnavailable(
            "unreadable_file", f"{path.name} cannot be read: {error.strerror}",
            "check its owner and mode",
        ) from error  # fmt: skip
    header, columns, cuts = found
    chunks = tuple(_place(cuts, header, path, stat))
    return FileLayout(digest.digest(), columns, header, chunks)


class _Reader:
    """The bytes of a file in blocks, hashed on the way."""

    def __init__(self, fd: int, digest: "hashlib._Hash", block_bytes: int) -> None:
        self._fd, self._digest, self._block_bytes = fd, digest, block_bytes
        self.is_at_end = False

    def read(self) -> bytes:
        block = os.read(self._fd, self._block_bytes)
        self._digest.update(block)
        self.is_at_end = not block
        return block


def _lay_out(
    reader: _Reader, source: SourceSpec, limits: Limits
) -> tuple[bytes, tuple[str, ...], list[_Cut]]:
    dialect = dialect_of(source.csv)
    block = reader.read()
    if not block:
        raise FileRefused("empty_file", "the file is empty", "nothing to load; ask the sender")
    while b"\n" not in block and not reader.is_at_end and len(block) < limits.max_record_bytes:
        block += reader.read()
    _refuse_other_formats(block)
    header, columns = _read_header(block, source, dialect, limits)
    scan = Scan(dialect, len(columns), limits.max_record_bytes)
    cuts = list(_cuts(reader, block[len(header) :], scan))
    return header, columns, cuts


def _refuse_other_formats(block: bytes) -> None:
    for magic, name in _NOT_CSV.items():
        if block.startswith(magic):
            raise FileRefused(
                "wrong_format", f"this is {name}, not CSV text",
                "unpack or convert it, or point another source at it",
            )  # fmt: skip


def _read_header(
    block: bytes, source: SourceSpec, dialect: Dialect, limits: Limits
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes before the first data record, and the column names in the file's order."""
    position = len(_BOM) if block.startswith(_BOM) else 0
    for _ in range(source.csv.skip_lines):
        position = (block.find(b"\n", position) + 1) or len(block)
    if not source.csv.header:
        return block[:position], source.csv.columns or tuple(source.columns)
    while block[position : position + 2] in (b"\r\n",) or block[position : position + 1] == b"\n":
        position = block.find(b"\n", position) + 1
    match = dialect.record.match(block, position, position + limits.max_record_bytes)
    if match is None or match.end() == position:
        raise FileRefused(
            "bad_header", "the header line is not well-formed CSV",
            "check csv.delimiter, csv.quote and csv.skip_lines of the source",
        )  # fmt: skip
    columns = _decode_header(match[0], dialect)
    _check_columns(columns, tuple(source.columns), dialect)
    return block[: match.end()], columns


def _decode_header(record: bytes, dialect: Dialect) -> tuple[str, ...]:
    try:
        return tuple(cell.decode(dialect.codec).strip() for cell in split_fields(record, dialect))
    except UnicodeDecodeError as error:
        raise FileRefused(
            "bad_encoding", f"the header is not {dialect.codec}: {error.reason}",
            "set csv.encoding of the source",
        ) from error  # fmt: skip


def _check_columns(found: tuple[str, ...], wanted: tuple[str, ...], dialect: Dialect) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise FileRefused(
            "missing_column",
            f"the header lacks {', '.join(map(repr, missing))}; it has "
            + ", ".join(map(repr, found[:50])),
            _missing_hint(missing[0], found, dialect),
        )
    twice = [name for name in wanted if found.count(name) > 1]
    if twice:
        raise FileRefused(
            "duplicate_column", f"the header has {twice[0]!r} more than once",
            "rename one of them in the file",
        )  # fmt: skip


def _missing_hint(missing: str, found: tuple[str, ...], dialect: Dialect) -> str:
    if len(found) == 1:
        return f"only one column was found: is {chr(dialect.delimiter)!r} the delimiter?"
    close = get_close_matches(missing, found, 1)
    return f"did {close[0]!r} mean {missing!r}?" if close else "has the sender changed the file?"


def _cuts(reader: _Reader, rest: bytes, scan: Scan) -> Iterator[_Cut]:
    """Cut the rest of the file into runs of whole records, one per block read."""
    is_final = False
    while not is_final:
        is_final = reader.is_at_end
        cut = _cut(rest, scan, is_final=is_final)
        if cut.size_bytes:
            yield cut
            rest = rest[cut.size_bytes :]
        if len(rest) > _MAX_LINE_BYTES:
            raise FileRefused(
                "record_too_large", f"no record ends within {len(rest)} bytes",
                "is it CSV with LF or CRLF record ends?",
            )  # fmt: skip
        if not is_final:
            rest += reader.read()


def _cut(block: bytes, scan: Scan, *, is_final: bool) -> _Cut:
    if is_final and block and not block.endswith(b"\n"):
        regular = _regular_cut(block + b"\n", scan)
        whole = regular is not None and regular.size_bytes == len(block) + 1
        if regular is not None and whole:
            return replace(regular, size_bytes=len(block))
        return _careful_cut(block, scan, is_final=True)
    regular = _regular_cut(block, scan)
    if regular is None or (is_final and regular.size_bytes < len(block)):
        return _careful_cut(block, scan, is_final=is_final)
    return regular


def _regular_cut(block: bytes, scan: Scan) -> _Cut | None:
    """The complete records of a block whose quotes are well formed, else ``None``."""
    view = memoryview(block)
    found = read_structure(view, scan.dialect)
    if not found.ends.size:
        is_hopeless = len(block) >= scan.max_record_bytes
        return None if is_hopeless else _Cut(0, 0, 0, is_regular=True)
    if not found.is_regular or not _are_sound(view, found, scan):
        return None
    size = int(found.ends[-1])
    lines = int(found.newlines.searchsorted(size))
    return _Cut(size, found.ends.size, lines, is_regular=True)


def _are_sound(view: memoryview, found: Structure, scan: Scan) -> bool:
    """No record is too long, and those of several lines have the right number of fields."""
    size = int(found.ends[-1])
    longest = size if found.ends.size == 1 else int((found.ends[1:] - found.ends[:-1]).max())
    if max(longest, int(found.ends[0])) > scan.max_record_bytes:
        return False
    if len(view) - size > scan.max_record_bytes:
        return False
    several = multiline_records(found)
    if not several.size:
        return True
    return bool((field_counts(view, found, scan.dialect)[several] == scan.field_count).all())


def _careful_cut(block: bytes, scan: Scan, *, is_final: bool) -> _Cut:
    rows, end = 0, 0
    for span in read_records(block, scan, is_final=is_final):
        rows, end = rows + 1, span.end
    if is_final:
        end = len(block)
    return _Cut(end, rows, block.count(b"\n", 0, end), is_regular=False)


def _place(cuts: list[_Cut], header: bytes, path: Path, stat: FileStat) -> Iterator[Chunk]:
    start = Position(len(header), 0, header.count(b"\n"))
    if not any(cut.rows for cut in cuts):
        raise FileRefused(
            "no_rows", "the file has a header and no rows", "nothing to load; ask the sender"
        )
    for cut in cuts:
        end = Position(
            start.offset_bytes + cut.size_bytes, start.row + cut.rows, start.line + cut.lines
        )
        yield Chunk(path, stat, start, end, cut.is_regular)
        start = end
