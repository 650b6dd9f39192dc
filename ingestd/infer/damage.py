"""Lines of a sample whose quotes are damaged, as the daemon's own scanner finds them."""

from dataclasses import dataclass

from ingestd.config.source import CsvSpec
from ingestd.formats.csv.dialect import dialect_of
from ingestd.formats.csv.records import Scan, find_records

_LONGEST_RECORD = 2**14


@dataclass(frozen=True, slots=True)
class Mended:
    """A text in which damaged lines have no quotes, so that each of them costs itself alone."""

    text: str
    damaged: int
    """Lines."""
    quoted: int
    """Records with quotes that are as they should be."""


def mend(text: str, delimiter: str, quote: str) -> Mended:
    """A text whose lines end with LF, written with a delimiter of one ASCII character."""
    octets = text.encode(errors="replace")
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    spec = CsvSpec.model_construct(delimiter=delimiter, quote=quote, record_end="\n")
    found = find_records(
        octets, Scan(dialect_of(spec, "utf-8", "\n"), _LONGEST_RECORD), is_final=True
    )
    records = [octets[a:b] for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    mark = quote.encode()
    quoted = sum(mark in record for record in records) - len(found.faults)
    if not found.faults:
        return Mended(text, 0, quoted)
    pieces, end = [], 0
    for index in found.faults:
        start, end_of_last = int(found.starts[index]), end
        end = int(found.ends[index])
        pieces += [octets[end_of_last:start], octets[start:end].replace(mark, b"")]
    return Mended(b"".join([*pieces, octets[end:]]).decode(), len(found.faults), quoted)
