"""The last record of a CSV file, where it is no data but tells what the file holds."""

from ingestd.config.source import TrailerField
from ingestd.formats.csv.dialect import split_text
from ingestd.formats.csv.records import Scan, find_records
from ingestd.formats.csv.transcript import transcribe
from ingestd.formats.trailer import Trailer, field_missing


def read_trailer(footer: bytes, delimiter: str, scan: Scan) -> Trailer:
    """The record with which ``footer`` begins."""
    cells = _cells(footer, scan)

    def cell(field: TrailerField) -> str:
        assert isinstance(field, int), "spans are of fixed-width text"
        if field > len(cells):
            raise field_missing(field, str(len(cells)))
        return cells[field - 1].strip()

    return Trailer(delimiter.join(cells), cell)


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
