"""Fixed-width text: one record per line, every column at the same characters of it.

Blanks around a value are filling. What stands between and behind the columns is left out.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingestd.config.source import FixedSpec, SourceSpec, TrailerField
from ingestd.errors import FileRefused
from ingestd.formats.content import Content, opened
from ingestd.formats.limits import Limits
from ingestd.formats.lines import find_cuts, last_line, read_lines
from ingestd.formats.text import Text, TextChunk
from ingestd.formats.trailer import Trailer, field_missing, told_sum
from ingestd.records import REJECTS, ROW, Chunk, FileLayout, FileStat, Position, Shape, Violation

_BOM = b"\xef\xbb\xbf"


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """See ``Format.lay_out``."""
    with opened(path, stat, source, limits) as content:
        block, start = _read_skipped(content, source.fixed.skip_lines)
        last: deque[bytes] = deque(maxlen=1)
        cuts = list(find_cuts(content, block[start.offset_bytes :], start, last.append))
        footer = _take_last(cuts, last[0]) if source.trailer else b""
    told = None
    if source.trailer and REJECTS not in path.name:  # such a file has the trailer of another
        told = told_sum(_read_trailer(footer, source.fixed), cuts[-1][1].row, source.trailer)
    chunks = tuple(Chunk(path, stat, start, end) for start, end in cuts)
    header = block[: start.offset_bytes]
    shape = Shape(tuple(source.columns), header=header, suffix=".txt", footer=footer)
    return FileLayout(content.sha256, shape, chunks, content.is_packed, told_sum=told)


def _take_last(cuts: list[tuple[Position, Position]], octets: bytes) -> bytes:
    """Take the last record out of the cuts, of which the last ends with these octets."""
    footer = octets[last_line(octets) :]
    start, end = cuts.pop()
    end = Position(end.offset_bytes - len(footer), end.row - 1, end.line - footer.count(b"\n"))
    if end.row > start.row:
        cuts.append((start, end))
    if not cuts:
        raise FileRefused("no_rows", "the file has no rows", "nothing to load; ask the sender")
    return footer


def _read_trailer(footer: bytes, spec: FixedSpec) -> Trailer:
    record = footer.decode(spec.encoding, "replace").rstrip("\r\n")

    def cut(field: TrailerField) -> str:
        assert not isinstance(field, int), "numbers are of CSV"
        start, width = field
        is_cut_off = spec.short_lines == "reject" and len(record) < start + width - 1
        if is_cut_off or len(record) < start:
            raise field_missing(field, f"{len(record)} characters")
        return record[start - 1 :][:width].strip()

    return Trailer(record, cut)


def _read_skipped(content: Content, count: int) -> tuple[bytes, Position]:
    """The beginning of the file, and where in it BOM and skipped lines end."""
    block = content.read_start("fixed-width text")
    while block.count(b"\n") < count and not content.is_at_end:
        block += content.read()
    end = len(_BOM) if block.startswith(_BOM) else 0
    for _ in range(count):
        end = (block.find(b"\n", end) + 1) or len(block)
    return block, Position(end, 0, block.count(b"\n", 0, end))


def read(
    chunks: Sequence[Chunk], shape: Shape, source: SourceSpec, limits: Limits
) -> Text:  # fmt: skip
    """See ``Format.read``."""
    found = read_lines(chunks, limits, lambda _: {})
    return Text(pl.concat([_read_chunk(chunk, source) for chunk in found]), found)


def blank_row(source: SourceSpec) -> bytes:
    """See ``Format.blank_row``."""
    return b"0" * source.fixed.least_width + b"\n"


def _read_chunk(chunk: TextChunk, source: SourceSpec) -> pl.DataFrame:
    """The cells of every line that can be read; why the others cannot is added to the faults."""
    lines, rows = [], []
    for index in range(chunk.records.starts.size):
        if index in chunk.faults:
            continue
        line = _read_line(chunk.records.raw(index), source.fixed)
        if isinstance(line, Violation):
            chunk.faults[index] = line
        else:
            lines.append(line)
            rows.append(chunk.first + index)
    frame = pl.DataFrame({ROW: rows, "": lines}, {ROW: pl.UInt32, "": pl.String})
    return frame.select(*(_cell(name, source.fixed) for name in source.columns), ROW)


def _read_line(raw: bytes, spec: FixedSpec) -> str | Violation:
    try:
        line = raw.decode(spec.encoding)
    except UnicodeDecodeError as error:
        message = f"byte 0x{error.object[error.start]:02x} is not {spec.encoding}"
        return Violation(None, "encoding", None, message)
    if "\0" in line:
        return Violation(None, "nul_byte", None, "the record holds a NUL byte")
    if spec.short_lines == "reject" and len(line) < spec.least_width:
        message = f"{len(line)} characters instead of {spec.least_width}"
        return Violation(None, "too_short", None, message)
    return line


def _cell(name: str, spec: FixedSpec) -> pl.Expr:
    start, width = spec.columns[name]
    cell = pl.col("").str.slice(start - 1, width).str.strip_chars(" \t")
    return pl.when(cell.is_in(list(spec.null_values)).not_()).then(cell).alias(name)
