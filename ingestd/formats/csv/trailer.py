"""The last record of a CSV file, where it is no data but tells what the file holds."""

import re

from ingestd.config.source import SourceSpec, TrailerSpec
from ingestd.errors import FileHeld
from ingestd.formats.csv.dialect import split_text
from ingestd.formats.csv.records import Scan, find_records
from ingestd.formats.csv.transcript import transcribe

_ROWS = re.compile(r"[0-9]{1,18}")
TRAILER_HINT = "was the file cut off, or changed on the way? Ask the sender, and drop it again"
_SHOWN = 60
"""Characters of a record that an error shows."""


def told_sum(footer: bytes, row_count: int, scan: Scan, source: SourceSpec) -> str | None:
    """Check the trailer, with which ``footer`` begins.

    Returns:
        what it says that a column adds up to, if it says so.

    Raises:
        FileHeld: it is missing, or says another number of rows.
    """
    trailer = source.trailer
    if trailer is None:
        return None
    cells = _cells(footer, scan)
    record = source.csv.delimiter.join(cells)
    if not record.startswith(trailer.prefix):
        message = f"the last record does not begin with {trailer.prefix!r}: {record[:_SHOWN]!r}"
        raise FileHeld("missing_trailer", message, TRAILER_HINT)
    _check_count(cells, row_count, trailer)
    return None if trailer.sum is None else _cell(cells, trailer.sum.field)


def _cells(footer: bytes, scan: Scan) -> list[str]:
    """The fields of the first record; it as a whole where it has none."""
    dialect = scan.dialect
    octets = transcribe(dialect.terminated(footer), dialect).octets
    found = find_records(octets, scan, is_final=True)
    record = octets[: found.ends[0]] if found.ends.size else b""
    try:
        return split_text(record, dialect)
    except ValueError:
        return [record.decode(dialect.codec, "replace")]


def _check_count(cells: list[str], row_count: int, trailer: TrailerSpec) -> None:
    if trailer.count is None:
        return
    text = _cell(cells, trailer.count)
    if not _ROWS.fullmatch(text):
        message = f"field {trailer.count} of the trailer is {text[:_SHOWN]!r}, no number of rows"
        raise FileHeld("bad_trailer", message, "does trailer.count name the right field?")
    if int(text) != row_count:
        message = f"the trailer says {int(text)} rows, the file has {row_count}"
        raise FileHeld("trailer_mismatch", message, TRAILER_HINT)


def _cell(cells: list[str], field: int) -> str:
    if field > len(cells):
        message = f"the trailer has no field {field}: it has {len(cells)}"
        raise FileHeld("bad_trailer", message, "see [trailer] of the source")
    return cells[field - 1].strip()
