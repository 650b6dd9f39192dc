"""A CSV dialect that can be told apart, byte by byte, and names for files without a header."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.naming import choice, quoted
from ingestd.config.source import CsvSpec


def check_csv(draft: Draft) -> Iterator[Finding]:
    """The dialect, then the column names given for files without a header."""
    dialect = draft.spec.csv
    if dialect.delimiter == dialect.quote:
        yield Finding(("csv", "delimiter"), f"found {quoted(dialect.quote)}, the quote, too")
    if dialect.thousands and dialect.thousands == dialect.decimal:
        yield Finding(("csv", "thousands"), f"found {quoted(dialect.decimal)}, csv.decimal, too")
    yield from _check_encoding(dialect)
    yield from _check_names(draft)


def _check_encoding(dialect: CsvSpec) -> Iterator[Finding]:
    structure = {"\n", "\r", dialect.quote, dialect.delimiter} - {""}
    inside = sorted(char for char in structure if ord(char) in _bytes_in_letters(dialect.encoding))
    if inside:
        message = f"letters in {dialect.encoding} can contain the byte of {quoted(inside)}"
        yield Finding(("csv", "encoding"), message, "not supported: convert the file to utf-8")


@cache
def _bytes_in_letters(encoding: str) -> frozenset[int]:
    """ASCII bytes that also occur inside characters beyond ASCII, as in Shift JIS."""
    beyond_ascii = "".join(map(chr, range(0x80, 0xD800)))
    return frozenset(byte for byte in beyond_ascii.encode(encoding, "ignore") if byte < 0x80)


def _check_names(draft: Draft) -> Iterator[Finding]:
    dialect, key = draft.spec.csv, ("csv", "columns")
    if dialect.columns is None:
        return
    if dialect.header:
        yield Finding(key, "given, but the files have a header", "remove it, or set header = false")
    for name, count in Counter(dialect.columns).items():
        if count > 1:
            yield Finding(key, f'"{name}" stands there {count} times', "every name must differ")
    if not draft.has_read("schema"):
        return
    for name in sorted(set(dialect.columns) - set(draft.column_names)):
        yield Finding(key, f'"{name}" is not in the schema', choice(name, draft.column_names))
    missing = [name for name in draft.column_names if name not in dialect.columns]
    if missing:
        yield Finding(
            key, f"{quoted(missing)} missing", "name every column of the schema, in order"
        )
