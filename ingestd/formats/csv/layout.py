"""One pass over a CSV file: its digest, its header, and the cuts between its chunks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import Content, opened
from ingestd.formats.csv.dialect import dialect_of
from ingestd.formats.csv.header import Header, read_header
from ingestd.formats.csv.records import Scan, find_records
from ingestd.formats.limits import Limits
from ingestd.records import Chunk, FileLayout, FileStat, Position, Shape

_MAX_WAITING_BYTES = 2**26
"""More without a record is no CSV: reading on would break the memory bound."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What was taken from the front of a block: so many bytes, records and lines."""

    size_bytes: int = 0
    rows: int = 0
    lines: int = 0

    def __add__(self, other: "_Cut") -> "_Cut":
        return _Cut(
            self.size_bytes + other.size_bytes, self.rows + other.rows, self.lines + other.lines
        )


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """Read the whole file once.

    Raises:
        FileRefused: empty, not CSV, or its header lacks a column of the schema.
        FileUnavailable: it changed meanwhile or cannot be read.
    """
    with opened(path, stat, source, limits) as content:
        header, cuts = _lay_out(content, source, limits)
    chunks = tuple(_place(cuts, header.octets, path, stat))
    shape = Shape(header.columns, header.octets)
    return FileLayout(content.sha256, shape, chunks, content.is_packed)


def _lay_out(content: Content, source: SourceSpec, limits: Limits) -> tuple[Header, list[_Cut]]:
    block = content.read_start("CSV text")
    while (
        header := read_header(block, source, limits, is_final=content.is_at_end)
    ) is None:  # fmt: skip
        _refuse_if_endless(len(block))
        block += content.read()
    scan = Scan(dialect_of(source.csv), limits.max_record_bytes)
    cuts = list(_joined(_cuts(content, block[len(header.octets) :], scan)))
    if not any(cut.rows for cut in cuts):
        raise FileRefused("no_rows", "the file has no rows", "nothing to load; ask the sender")
    return header, cuts


def _cuts(content: Content, rest: bytes, scan: Scan) -> Iterator[_Cut]:
    """Cut the rest of the file into runs of whole records, one per block read."""
    is_final = False
    while not is_final:
        is_final = content.is_at_end
        cut = _cut(rest, scan, is_final=is_final)
        yield cut
        rest = rest[cut.size_bytes :]
        _refuse_if_endless(len(rest))
        if not is_final:
            rest += content.read()


def _cut(block: bytes, scan: Scan, *, is_final: bool) -> _Cut:
    is_open = is_final and block != b"" and not block.endswith(b"\n")
    found = find_records(block + b"\n" if is_open else block, scan, is_final=is_final)
    if is_open:
        return _Cut(len(block), found.starts.size, found.line_count - 1)
    return _Cut(found.end, found.starts.size, found.line_count)


def _joined(cuts: Iterable[_Cut]) -> Iterator[_Cut]:
    """Every cut with records: those of blank lines alone join their neighbours."""
    held = _Cut()
    for cut in cuts:
        if held.rows and cut.rows:
            yield held
            held = cut
        else:
            held += cut
            _refuse_if_endless(held.size_bytes)
    yield held


def _refuse_if_endless(waiting_bytes: int) -> None:
    if waiting_bytes > _MAX_WAITING_BYTES:
        raise FileRefused(
            "record_too_large", f"no record ends within {waiting_bytes} bytes",
            "is it CSV with LF or CRLF record ends?",
        )  # fmt: skip


def _place(cuts: list[_Cut], header: bytes, path: Path, stat: FileStat) -> Iterator[Chunk]:
    start = Position(len(header), 0, header.count(b"\n"))
    for cut in cuts:
        end = Position(
            start.offset_bytes + cut.size_bytes, start.row + cut.rows, start.line + cut.lines
        )
        yield Chunk(path, stat, start, end)
        start = end
