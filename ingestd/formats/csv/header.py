"""What stands before the first record of a CSV file: lines to skip, and the header."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.csv.columns import check_columns
from ingestd.formats.csv.dialect import Dialect, split_text
from ingestd.formats.drift import distinct_names, missing_columns, named_columns
from ingestd.formats.limits import Limits

_SEPARATOR_LINE = re.compile(rb'"?sep=(.{1,16}?)"?\r?\n', re.IGNORECASE)
"""How Excel is told, on the first line, which delimiter a file has."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
"""Soft hyphens, zero-width characters, marks of direction, byte order marks."""

_SEARCHED_LINES = 100
"""Among so many the header is looked for where a source says ``skip_lines = "auto"``."""


class Unfinished(FileRefused):
    """What was seen of the file is refused; more of it may show that it is good."""


@dataclass(frozen=True, slots=True)
class Header:
    """The place of the first record, and the column names in the file's order."""

    end: int
    columns: tuple[str, ...]
    records: frozenset[bytes] = frozenset()
    """The header's records, without their ends."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Canonical lines from behind the byte order mark on, and what they are read with."""

    octets: bytes
    source: SourceSpec
    dialect: Dialect
    limits: Limits


def read_header(file: Beginning) -> Header:
    """The header of a file that begins so.

    Raises:
        FileRefused: there is none, it is not CSV, or it lacks a column of the schema.
        Unfinished: that may be so.
    """
    csv = file.source.csv
    start = _skip_preamble(file)
    if not csv.header_line_count:
        return Header(start, csv.columns or file.source.file_columns)
    if csv.skip_lines == "auto":
        return _find_header(file, start)
    header = _header_at(file, start)
    check_columns(header.columns, file.source)
    return header


def _skip_preamble(file: Beginning) -> int:
    position, count = 0, file.source.csv.skip_lines
    if separator := _SEPARATOR_LINE.match(file.octets):
        _check_separator(separator[1], file)
        position = 0 if isinstance(count, int) and count else separator.end()
    for _ in range(count if isinstance(count, int) else 0):
        position = _next_line(file, position)
    return position


def _check_separator(told: bytes, file: Beginning) -> None:
    if told != bytes([file.dialect.delimiter]):
        raise FileRefused(
            "wrong_delimiter",
            f"the first line says that the delimiter is {told.decode(errors='replace')!r}, the "
            f"source says {file.source.csv.delimiter!r}",
            "set csv.delimiter of the source",
        )


def _next_line(file: Beginning, position: int) -> int:
    end = file.octets.find(b"\n", position)
    if end < 0:
        raise Unfinished("empty_file", "the file has no header and no rows", "ask the sender")
    return end + 1


def _find_header(file: Beginning, start: int) -> Header:
    """The first line that names all columns of the schema."""
    nearest: tuple[str, ...] = file.source.file_columns
    starts = list(islice(_line_starts(file, start), _SEARCHED_LINES))
    for header in _headers_at(file, starts):
        if not (missing := missing_columns(header.columns, file.source)):
            check_columns(header.columns, file.source)
            return header
        nearest = min(nearest, missing, key=len)
    refusal = FileRefused if len(starts) == _SEARCHED_LINES else Unfinished
    raise refusal(
        "missing_column",
        f"none of the first {len(starts)} lines names all columns; the one that is nearest to it "
        f"lacks {', '.join(map(repr, nearest))}",
        "compare the names, and csv.delimiter, with the file",
    )


def _line_starts(file: Beginning, position: int) -> Iterator[int]:
    while (end := file.octets.find(b"\n", position)) >= 0:
        yield position
        position = end + 1


def _headers_at(file: Beginning, starts: list[int]) -> Iterator[Header]:
    for start in starts:
        try:
            yield _header_at(file, start)
        except FileRefused:
            continue


def _header_at(file: Beginning, start: int) -> Header:
    records, position = [], start
    for _ in range(file.source.csv.header_line_count):
        position = _skip_idle_lines(file, position)
        records.append(_record_at(file, position))
        position += len(records[-1])
    lines = [_decode(record, file.dialect) for record in records]
    bare = frozenset(record.rstrip(b"\r\n") for record in records)
    return Header(position, _columns(lines, file.source), bare)


def _columns(lines: list[list[str]], source: SourceSpec) -> tuple[str, ...]:
    """The columns by the first of their names that the schema knows: their own, or as written."""
    cleaned = joined_names([list(map(clean_name, names)) for names in lines])
    spelled = (distinct_names(cleaned), cleaned, joined_names(lines))
    known = {*source.file_columns}
    return tuple(
        next((name for name in names if name in known), names[1])
        for names in zip(*(named_columns(names, source) for names in spelled), strict=True)
    )


def _skip_idle_lines(file: Beginning, position: int) -> int:
    """Behind lines without content and comments."""
    comment, delimiter = file.dialect.comment, bytes([file.dialect.delimiter])
    idle = rb"[%b \t\r\n]*\n" % re.escape(delimiter)
    idle += rb"|%b[^\n]*+\n" % re.escape(comment) if comment else b""
    # not possessive: of such a group Python 3.11.2 keeps what its last, failed turn has matched
    lines = re.compile(b"(?:%b)*" % idle).match(file.octets, position)
    assert lines is not None, "it matches nothing, too"
    if lines.end() == len(file.octets):
        raise Unfinished("empty_file", "the file has no header and no rows", "ask the sender")
    return lines.end()


def _record_at(file: Beginning, position: int) -> bytes:
    longest = file.limits.max_record_bytes
    record = file.dialect.record.match(file.octets, position, position + longest)
    if record is None:
        refusal = Unfinished if len(file.octets) - position < longest else FileRefused
        raise refusal(
            "bad_header", "the header line is not well-formed CSV",
            "check csv.delimiter, csv.quote and csv.skip_lines of the source",
        )  # fmt: skip
    return record[0]


def _decode(record: bytes, dialect: Dialect) -> list[str]:
    try:
        return [name.strip() for name in split_text(record, dialect)]
    except UnicodeDecodeError as error:
        raise FileRefused(
            "bad_encoding", f"the header is not {dialect.codec}: {error.reason}",
            "set csv.encoding of the source",
        ) from error  # fmt: skip


def clean_name(name: str) -> str:
    """The name without what nobody sees: marks of no width, blanks around it, odd ones in it."""
    return " ".join(_INVISIBLE.sub("", name).split())


def joined_names(lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """One name per column; a name in an upper line counts for the columns right of it, too, if a
    line below names them."""
    filled = [*map(_filled, lines[:-1]), lines[-1]]
    own = zip_longest(*lines, fillvalue="")
    joined = zip_longest(*filled, fillvalue="")
    names = zip(own, joined, strict=True)
    return tuple("_".join(filter(None, parts)) if any(cells) else "" for cells, parts in names)


def _filled(names: Sequence[str]) -> list[str]:
    filled: list[str] = []
    for name in names:
        filled.append(name or (filled[-1] if filled else ""))
    return filled
