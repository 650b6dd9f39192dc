"""A CSV dialect ready for use: bytes to compare with, and what a well-formed record looks like."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ingestd.config.encodings import encode, is_transparent, unit_bytes
from ingestd.config.source import CsvSpec
from ingestd.formats.csv.script import Script
from ingestd.formats.text import Ending, ending_of
from ingestd.records import Shape

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
    is_doubling: bool
    """Whether a quote inside quotes is written twice."""
    comment: bytes
    record: re.Pattern[bytes]
    unfinished: re.Pattern[bytes]
    field: re.Pattern[bytes]
    empty: re.Pattern[bytes]
    """A line of nothing but delimiters and blanks, with its end; or a blank one."""
    ending: Ending
    script: Script | None
    """How files are written, if it is not so: what they say is written anew first."""
    padded: re.Pattern[bytes] | None
    """A quoted field, which a block may cut off, and the blanks around it that are to go."""

    @property
    def is_utf8(self) -> bool:
        return self.codec == "utf-8"

    @property
    def is_of_bytes(self) -> bool:
        """Whether a character of ASCII is one byte in the files."""
        return unit_bytes(self.ending.encoding) == 1

    def terminated(self, octets: bytes) -> bytes:
        """The rest of a file, with a record end even if it has none."""
        if not octets or (self.script is None and octets.endswith(b"\n")):
            return octets
        if self.script is None:
            return octets + b"\n"
        # two, as an escape may end the file: it takes one, and blank lines too many are no records
        missing = -len(octets) % unit_bytes(self.script.codec)
        # not with zeros: the half of a line feed would become one
        cut_off = missing * b"\xff" + _undecodable(self.script.codec) if missing else b""
        return octets + cut_off + 2 * encode(self.script.record_end, self.script.codec)


def _undecodable(codec: str) -> bytes:
    """Half a character of UTF-16, which UTF-32 does not take either."""
    return "\ud800".encode(codec, "surrogatepass")


class _Marks(NamedTuple):
    """What a dialect is made of. A tuple is looked up faster than a configuration section."""

    delimiter: str
    quote: str
    escape: str
    comment: str
    encoding: str
    record_end: str
    """LF means CRLF, too."""
    is_trimmed: bool


def dialect_of(spec: CsvSpec, encoding: str, record_end: str) -> Dialect:
    """The dialect of a source's files that have this encoding and record end."""
    is_lf = spec.record_end == "\n" or (spec.record_end == "auto" and record_end != "\r")
    end = "\n" if is_lf else record_end
    return _compile(
        _Marks(spec.delimiter, spec.quote, spec.escape, spec.comment, encoding, end, spec.trim)
    )


@lru_cache(maxsize=64)
def _compile(marks: _Marks) -> Dialect:
    script = _script(marks)
    codec = "utf-8" if script else marks.encoding
    delimiter = script.separator if script else marks.delimiter
    d, q = re.escape(delimiter.encode()), re.escape(marks.quote.encode())
    plain = b"[^%b%b\n]*+" % (d, q)
    opened = b"%b[^%b]*+(?:%b%b[^%b]*+)*+" % (q, q, q, q, q)
    cell = b"(?:%b%b|%b)" % (opened, q, plain) if q else plain
    cut = b"(?:%b(?:%b\r?)?|%b)" % (opened, q, plain) if q else plain
    end = rb"\r?\n"
    blanks = rb"[ \t]" if delimiter != "\t" else b" "
    closed = rb"%b(?=%b*+(?:%b|\r?$))" % (q, blanks, d)
    padded = rb"(?m)(^|%b)%b*+(%b(?:%b|\Z))%b*+" % (d, blanks, opened, closed, blanks)
    return Dialect(
        delimiter=ord(delimiter),
        quote=ord(marks.quote) if q else None,
        codec=codec,
        is_doubling=marks.escape != "none",
        comment=marks.comment.encode(codec),
        record=re.compile(b"%b(?:%b%b)*+%b" % (cell, d, cell, end)),
        unfinished=re.compile(rb"(?:%b%b)*+%b\Z" % (cell, d, cut)),
        field=re.compile(b"(%b)(%b|%b)" % (cell, d, end)),
        empty=re.compile(rb"[%b \t]*+%b" % (d, end)),
        ending=ending_of(Shape((), marks.encoding, marks.record_end)),
        script=script,
        padded=re.compile(padded) if q and marks.is_trimmed else None,
    )


def _script(marks: _Marks) -> Script | None:
    """The one place where it is decided whether files are read as they are."""
    escape = "" if marks.escape in ("doubled", "none") else marks.escape
    is_byte = len(marks.delimiter) == 1 and "\0" < marks.delimiter < "\x80"
    is_canonical = is_byte and not escape and marks.record_end == "\n"
    if is_canonical and is_transparent(marks.encoding, f"\r\n{marks.delimiter}{marks.quote}"):
        return None
    return Script(marks.encoding, marks.record_end, marks.delimiter, marks.quote, escape)


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


def split_text(record: bytes, dialect: Dialect) -> list[str]:
    """The cells of one well-formed record as text.

    Raises:
        UnicodeDecodeError: they are not in the dialect's encoding.
    """
    cells = [cell.decode(dialect.codec) for cell in split_fields(record, dialect)]
    return [dialect.script.restore(cell) for cell in cells] if dialect.script else cells
