"""Files in which every line is a record, whatever stands in it; lines without content are none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ingestd.errors import FileRefused
from ingestd.formats.content import Content, file_changed
from ingestd.formats.limits import Limits
from ingestd.formats.octets import read_octets
from ingestd.formats.text import Positions, Records, TextChunk, without_end_mark
from ingestd.records import Chunk, Position, Violation

_NEWLINE, _RETURN = 0x0A, 0x0D
_MAX_WAITING_BYTES = 2**26
"""More without a line end are no lines: reading on would break the memory bound."""

_TOO_LARGE = Violation(
    None, "record_too_large", None, "the record is larger than refine.max_record_bytes"
)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Where the lines with content are in a block that ends with one."""

    starts: Positions
    ends: Positions
    line_count: int


def find_cuts(
    content: Content, rest: bytes, start: Position, see: Callable[[bytes], None] | None = None
) -> Iterator[tuple[Position, Position]]:
    """Cut the rest of a file, which begins with ``rest``, into runs of whole lines.

    ``see`` is shown the lines of each of them.

    Raises:
        FileRefused: there is no record in it, or no line end.
    """
    end, is_final = start, False
    while not is_final:
        is_final = content.is_at_end
        rest = without_end_mark(rest) if is_final else rest
        whole = len(rest) if is_final else rest.rfind(b"\n") + 1
        end = _after(end, rest[:whole])
        if end.row > start.row:
            if see is not None:
                see(rest[:whole])
            yield start, end
            start = end
        rest = rest[whole:] + (b"" if is_final else content.read())
        if len(rest) > _MAX_WAITING_BYTES:
            raise FileRefused(
                "record_too_large", f"no line ends within {_MAX_WAITING_BYTES} bytes",
                "has the source the right format?",
            )  # fmt: skip
    if not end.row:
        raise FileRefused("no_rows", "the file has no rows", "nothing to load; ask the sender")


def last_line(octets: bytes) -> int:
    """Where the last line with content begins."""
    return int(_find(octets).starts[-1])


def _after(position: Position, octets: bytes) -> Position:
    lines = _find(octets)
    return Position(
        position.offset_bytes + len(octets),
        position.row + lines.starts.size,
        position.line + octets.count(b"\n"),
    )


def _find(octets: bytes) -> _Lines:
    """The lines of a block; the last may lack its end."""
    values = np.frombuffer(octets, np.uint8)
    ends = np.flatnonzero(values == _NEWLINE) + 1
    if octets and not octets.endswith(b"\n"):
        ends = np.append(ends, len(octets))
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    is_record = lengths > 2
    if not is_record.all():
        first = values[starts]
        is_record |= (first != _NEWLINE) & (first != _RETURN)
    return _Lines(starts[is_record], ends[is_record], ends.size)


def read_lines(
    chunks: Sequence[Chunk], limits: Limits, find_faults: Callable[[Records], dict[int, Violation]]
) -> list[TextChunk]:
    """The records of chunks, and what ``find_faults`` or their size say against them.

    Raises:
        FileUnavailable: the file changed since it was laid out.
    """
    found, first = [], 0
    for chunk in chunks:
        octets = read_octets(chunk)
        lines = _find(octets)
        if lines.starts.size != chunk.row_count:
            raise file_changed(chunk.path)
        records = Records(chunk, octets, lines.starts, lines.ends)
        too_large = np.flatnonzero(lines.ends - lines.starts > limits.max_record_bytes)
        faults = find_faults(records) | dict.fromkeys(too_large.tolist(), _TOO_LARGE)
        found.append(TextChunk(records, faults, first))
        first += chunk.row_count
    return found
