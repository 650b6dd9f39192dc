"""What stands above the rows of a table: lines before it, and its header."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestd.formats.drift import distinct_names
from ingestd.infer.cells import cell_of
from ingestd.infer.dialects import Record
from ingestd.infer.headers import count_header_lines, names_in
from ingestd.infer.starts import find_start, width_of


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a file, in physical lines, and the names that its header gives the columns."""

    skip_lines: int
    """Before the header."""
    header_lines: int
    """Records of the header; 0 without one."""
    upper_lines: int
    """Those of them above the names."""
    data_line: int
    """Physical lines before the first row."""
    names: tuple[str, ...]
    """One for each column that is used, or none."""
    every_name: tuple[str, ...]
    """One for each field of the rows, or none."""
    width: int
    """Columns."""
    is_aligned: bool
    """Whether the header has a name for every field of the rows."""
    has_blank_extras: bool
    """Whether rows end with more delimiters than they should."""


def draw_outline(records: Sequence[Record]) -> Outline:
    """The parts of the file that begins with these records."""
    width = width_of(records)
    found = find_start(records, width)
    start, upper = found.place, found.upper_lines
    table = records[start:]
    header_lines = upper + count_header_lines(table[upper:], width)
    header, body = table[:header_lines], table[header_lines:]
    before = records[start - 1].last_line if start else 0
    all_names = names_in(header, body, width)
    names = _used(all_names, body)
    most = max([len(names) or width, *(len(record.cells) for record in header[-1:])])
    return Outline(
        skip_lines=before, header_lines=header_lines, upper_lines=upper,
        data_line=header[-1].last_line if header else before,
        names=names, every_name=all_names, width=len(all_names) or width,
        is_aligned=not header or len(header[-1].cells) >= len(names),
        has_blank_extras=any(_has_blank_extras(record, most) for record in body),
    )  # fmt: skip


def _used(names: tuple[str, ...], body: Sequence[Record]) -> tuple[str, ...]:
    """As the daemon tells them apart, without columns that have neither name nor value, which
    delimiters around rows make.

    A single one is left where it is, unless it is the last: it may be that of row numbers.
    """
    rows = [record for record in body if 2 * len(record.cells) > len(names)]
    named = [
        place for place, name in enumerate(names)
        if name or any(cell_of(row, place) for row in rows)
    ]  # fmt: skip
    distinct = distinct_names(names)
    if names.count("") == 1:
        named = [*range(max(named, default=-1) + 1)]
        distinct = tuple(own if name else "" for own, name in zip(distinct, names, strict=True))
    return tuple(distinct[place] for place in named)


def _has_blank_extras(record: Record, width: int) -> bool:
    return len(record.cells) > width and not any(map(str.strip, record.cells[width:]))
