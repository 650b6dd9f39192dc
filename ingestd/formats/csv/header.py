"""What stands before the first record of a CSV file: a BOM, lines to skip, the header."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from ingestd.config.source import CsvSpec, SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.csv.dialect import Dialect, dialect_of, split_fields
from ingestd.formats.limits import Limits

_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = re.compile(rb"(?:\r?\n)*+")


@dataclass(frozen=True, slots=True)
class Header:
    """All bytes before the first record, and the column names in the file's order."""

    octets: bytes
    columns: tuple[str, ...]


def read_header(
    block: bytes, source: SourceSpec, limits: Limits, *, is_final: bool
) -> Header | None:  # fmt: skip
    """The header of the file that begins with ``block``; ``None`` if more of it must be seen.

    Raises:
        FileRefused: there is none, it is not CSV, or it lacks a column of the schema.
    """
    start = _skip(block, source.csv)
    if start == len(block) and not is_final:
        return None
    if not source.csv.header:
        return Header(block[:start], source.csv.columns or tuple(source.columns))
    if start == len(block):
        raise FileRefused("empty_file", "the file has no header and no rows", "ask the sender")
    dialect = dialect_of(source.csv)
    text = block + b"\n" if is_final and not block.endswith(b"\n") else block
    record = dialect.record.match(text, start, start + limits.max_record_bytes)
    if record is None:
        if not is_final and len(block) - start < limits.max_record_bytes:
            return None
        raise FileRefused(
            "bad_header", "the header line is not well-formed CSV",
            "check csv.delimiter, csv.quote and csv.skip_lines of the source",
        )  # fmt: skip
    columns = _decode(record[0], dialect)
    _check_columns(columns, tuple(source.columns), dialect)
    return Header(block[: record.end()], columns)


def _skip(block: bytes, spec: CsvSpec) -> int:
    """The place after BOM, lines to skip and, before a header, blank lines."""
    position = len(_BOM) if block.startswith(_BOM) else 0
    for _ in range(spec.skip_lines):
        position = (block.find(b"\n", position) + 1) or len(block)
    blank = _BLANK_LINES.match(block, position)
    return blank.end() if spec.header and blank else position


def _decode(record: bytes, dialect: Dialect) -> tuple[str, ...]:
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
