"""Reading record by record, for blocks with something wrong in them.

A record is taken as well formed when it obeys the quote rule and, if it spans several lines,
has the expected number of fields; otherwise the damage is confined to one physical line and
reading goes on at the next. So an open quote costs one row, not the rest of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ingestd.formats.csv.dialect import Dialect, split_fields


@dataclass(frozen=True, slots=True)
class Span:
    """One record: bytes ``start`` to ``end``, record end included. ``fault`` is "" when fine."""

    start: int
    end: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What to scan with: the dialect, the fields a record must have, and its largest size."""

    dialect: Dialect
    field_count: int
    max_record_bytes: int


def read_records(block: bytes, scan: Scan, *, is_final: bool) -> Iterator[Span]:
    """Yield the records of ``block``, which starts at a record, without blank lines.

    Unless ``is_final``, stops before a record that might go on behind the end of the block.
    """
    position, size = 0, len(block)
    while position < size:
        line_end = block.find(b"\n", position) + 1 or size
        if block[position:line_end] in (b"\n", b"\r\n", b"\r"):
            position = line_end
            continue
        span = _read_record(block, position, line_end, scan)
        is_cut = span.end == size and not block.endswith(b"\n")
        if not is_final and (is_cut or _may_go_on(span, size, scan)):
            return
        yield span
        position = span.end


def _read_record(block: bytes, start: int, line_end: int, scan: Scan) -> Span:
    limit = min(len(block), start + scan.max_record_bytes)
    match = scan.dialect.record.match(block, start, limit)
    if match is None:
        return Span(start, line_end, _fault_of_line(block[start:line_end], scan))
    end = match.end()
    if end < line_end or (end == limit < len(block) and block[end - 1 : end] != b"\n"):
        return Span(start, line_end, "record_too_large")
    if end == line_end:
        return Span(start, end)
    if len(split_fields(match[0], scan.dialect)) != scan.field_count:
        return Span(start, line_end, "unclosed_quote")
    return Span(start, end)


def _fault_of_line(line: bytes, scan: Scan) -> str:
    """``unclosed_quote`` when closing the last field would mend the line, else ``stray_quote``."""
    if len(line) > scan.max_record_bytes:
        return "record_too_large"
    quote = scan.dialect.quote
    assert quote is not None, "without quotes every line is well formed"
    mended = line.rstrip(b"\r\n") + bytes([quote])
    return "unclosed_quote" if scan.dialect.record.fullmatch(mended) else "stray_quote"


def _may_go_on(span: Span, size: int, scan: Scan) -> bool:
    """Whether a quote that seems open in this block may be closed in the next."""
    return span.fault == "unclosed_quote" and size - span.start < scan.max_record_bytes
