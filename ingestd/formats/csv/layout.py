"""One pass over a CSV file: its digest, its header, and the cuts between its chunks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import Content, opened
from ingestd.formats.csv.dialect import Dialect, dialect_of
from ingestd.formats.csv.header import Beginning, Unfinished, read_header
from ingestd.formats.csv.lines import lines_of
from ingestd.formats.csv.look import LOOK_BYTES, look_at
from ingestd.formats.csv.records import Found, Scan, find_records
from ingestd.formats.csv.skipped import find_skipped
from ingestd.formats.csv.trailer import read_trailer
from ingestd.formats.csv.transcript import transcribe
from ingestd.formats.drift import drift_of, fitted, named_columns
from ingestd.formats.limits import Limits
from ingestd.formats.text import without_end_mark
from ingestd.formats.trailer import told_sum
from ingestd.records import REJECTS, Chunk, FileLayout, FileStat, Position, Shape

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
        shape, dialect = _shape_of(content, source, limits)
        content.skip(len(shape.header))
        scan = Scan(dialect, limits.max_record_bytes)
        cutter = _Cutter(scan, source)
        cuts = list(_joined(cutter.cuts(content)))
        row_count = sum(cut.rows for cut in cuts)
        if row_count == cutter.skipped_rows:
            raise FileRefused("no_rows", "the file has no rows", "nothing to load; ask the sender")
    start = Position(len(shape.header), 0, dialect.ending.count_lines(shape.header))
    *others, last = _place(cuts, start, path, stat)
    chunks = (*others, replace(last, footer_rows=cutter.footer_rows))
    told = None
    if source.trailer and REJECTS not in path.name:  # such a file has the trailer of another
        trailer = read_trailer(cutter.footer, source.csv.delimiter, scan)
        told = told_sum(trailer, row_count - cutter.skipped_rows, source.trailer)
    drift = drift_of(shape.columns, source)
    if (own := fitted(source, drift)) is not source:
        shape = replace(shape, columns=named_columns(shape.columns, own))
    shape = replace(shape, footer=cutter.footer) if cutter.footer else shape
    return FileLayout(
        content.sha256, shape, chunks, content.is_packed, drift, told, cutter.skipped_rows
    )


def _shape_of(content: Content, source: SourceSpec, limits: Limits) -> tuple[Shape, Dialect]:
    """What the beginning of the file tells; more of it is looked at as long as that helps."""
    size_bytes = LOOK_BYTES
    while True:
        beginning = content.peek(size_bytes)
        is_whole = len(beginning) < size_bytes
        try:
            return _read_beginning(beginning, source, limits, is_whole=is_whole)
        except Unfinished:
            if is_whole or size_bytes >= _MAX_WAITING_BYTES:
                raise
            size_bytes *= 4


def _read_beginning(
    beginning: bytes, source: SourceSpec, limits: Limits, *, is_whole: bool
) -> tuple[Shape, Dialect]:
    look = look_at(beginning, source.csv)
    dialect = dialect_of(source.csv, look.encoding, look.record_end)
    body = beginning[len(look.bom) :]
    lines = transcribe(dialect.terminated(body) if is_whole else body, dialect)
    header = read_header(Beginning(lines.octets, source, dialect, limits))
    octets = beginning[: len(look.bom) + int(lines.own(header.end))]
    shape = Shape(header.columns, look.encoding, look.record_end, header.records, octets)
    return shape, dialect


class _Cutter:
    """Cuts what follows the header into runs of whole records, one per block read."""

    def __init__(self, scan: Scan, source: SourceSpec) -> None:
        self._scan = scan
        self._has_trailer = source.trailer is not None
        self._skipped_texts = source.csv.skip_rows
        self._last_rows = source.csv.skip_footer + self._has_trailer
        self.footer = b""
        """The end of the file, from its trailer on, or its footer."""
        self.footer_rows = 0
        """How many rows of the last cut are the footer; none where it follows a trailer."""
        self.skipped_rows = 0
        """How many rows of all cuts are no data."""

    def cuts(self, content: Content) -> Iterator[_Cut]:
        rest, is_final = b"", False
        while not is_final:
            rest += content.read()
            is_final = content.is_at_end
            if is_final and self._scan.dialect.is_of_bytes:
                rest = without_end_mark(rest)
            cut = self._cut(rest, is_final=is_final)
            yield cut
            rest = rest[cut.size_bytes :]
            _refuse_if_endless(len(rest))
        self.footer = rest or self.footer

    def _cut(self, block: bytes, *, is_final: bool) -> _Cut:
        dialect = self._scan.dialect
        lines = transcribe(dialect.terminated(block) if is_final else block, dialect)
        found = find_records(lines.octets, self._scan, is_final=is_final)
        rows = max(0, found.starts.size - self._last_rows)
        if is_final and not self._has_trailer:
            self.footer_rows = found.starts.size - rows
            self.footer = block[lines.own(found.starts[rows]) :] if self.footer_rows else b""
            rows = found.starts.size
        self.skipped_rows += self._count_skipped(lines.octets, found, rows)
        if rows == found.starts.size and lines.lines is None:
            is_open = found.end > len(block)  # its last line end is not in the file
            return _Cut(found.end - is_open, rows, found.line_count - is_open)
        end = found.end if rows == found.starts.size else found.starts[rows]
        taken = block[: lines.own(end)]
        return _Cut(len(taken), rows, dialect.ending.count_lines(taken))

    def _count_skipped(self, octets: bytes, found: Found, rows: int) -> int:
        """Among the first so many of the records: the footer, and others that are no data."""
        texts = self._skipped_texts
        places = find_skipped(lines_of(octets, found), texts, self._scan.dialect) if texts else ()
        first_of_footer = rows - self.footer_rows
        return self.footer_rows + sum(place < first_of_footer for place in places)


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
            "are csv.record_end and csv.encoding what the file has?",
        )  # fmt: skip


def _place(cuts: list[_Cut], start: Position, path: Path, stat: FileStat) -> Iterator[Chunk]:
    for cut in cuts:
        end = Position(
            start.offset_bytes + cut.size_bytes, start.row + cut.rows, start.line + cut.lines
        )
        yield Chunk(path, stat, start, end)
        start = end
