"""A CSV dialect ready for use: bytes to compare with, and what a well-formed record looks like."""

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

from ingestd.config.source import CsvSpec

NEWLINE = 0x0A
RETURN = 0x0D


@dataclass(frozen=True)
class Dialect:
    """Delimiter and quote as byte values, and the patterns made of them.

    ``record`` matches one record with its end (RFC 4180 section 2, LF or CRLF); ``unfinished``
    the rest of a block that may be the beginning of one; ``field`` one field with what ends it.
    A quote inside an unquoted field matches none of them.
    """

    delimiter: int
    quote: int | None
    codec: str
    record: re.Pattern[bytes]
    unfinished: re.Pattern[bytes]
    field: re.Pattern[bytes]

    @property
    def is_utf8(self) -> bool:
        return self.codec == "utf-8"


@lru_cache(maxsize=64)
def compile_dialect(delimiter: str, quote: str, encoding: str) -> Dialect:
    """The dialect of these three; equal arguments give the same object."""
    d, q = re.escape(delimiter.encode()), re.escape(quote.encode())
    plain = b"[^%b%b\n]*+" % (d, q)
    opened = b"%b[^%b]*+(?:%b%b[^%b]*+)*+" % (q, q, q, q, q)
    cell = b"(?:%b%b|%b)" % (opened, q, plain) if quote else plain
    cut = b"(?:%b(?:%b\r?)?|%b)" % (opened, q, plain) if quote else plain
    end = rb"\r?\n"
    return Dialect(
        delimiter=ord(delimiter),
        quote=ord(quote) if quote else None,
        codec=codecs.lookup(encoding).name,
        record=re.compile(b"%b(?:%b%b)*+%b" % (cell, d, cell, end)),
        unfinished=re.compile(rb"(?:%b%b)*+%b\Z" % (cell, d, cut)),
        field=re.compile(b"(%b)(%b|%b)" % (cell, d, end)),
    )


def dialect_of(spec: CsvSpec) -> Dialect:
    """The dialect a source declares."""
    return compile_dialect(spec.delimiter, spec.quote, spec.encoding)


def split_fields(record: bytes, dialect: Dialect) -> list[bytes]:
    """The cells of one well-formed record, unquoted."""
    cells = []
    position, is_open = 0, True
    while is_open:
        match = dialect.field.match(record, position)
        if match is None:
            raise ValueError("not a well-formed record")
        position, is_open = match.end(), match[2] == bytes([dialect.delimiter])
        cells.append(_unquote(match[1], dialect.quote, is_last=not is_open))
    return cells


def _unquote(cell: bytes, quote: int | None, *, is_last: bool) -> bytes:
    if quote is None or not cell.startswith(mark := bytes([quote])):
        return cell.removesuffix(b"\r") if is_last else cell
    return cell[1:-1].replace(mark * 2, mark)
