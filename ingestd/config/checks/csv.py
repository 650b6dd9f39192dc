"""A CSV dialect that can be told apart, and names for files without a header."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.encodings import bytes_in_letters, encode, unit_bytes
from ingestd.config.naming import choice, quoted
from ingestd.config.source import EXTRA, CsvSpec, SourceSpec

_OF_EVERY_FORMAT = ("decimal", "thousands")
"""How numbers are written, which columns of all formats may leave open."""


def check_csv(draft: Draft) -> Iterator[Finding]:
    """The dialect, then the column names given for files without a header."""
    dialect = draft.spec.csv
    if draft.spec.format not in ("csv", "tsv"):
        yield from _check_other_format(draft.spec)
    if dialect.thousands and dialect.thousands == dialect.decimal:
        yield Finding(("csv", "thousands"), f"found {quoted(dialect.decimal)}, csv.decimal, too")
    yield from _check_overlaps(dialect)
    yield from _check_encoding(dialect)
    if dialect.skip_lines == "auto" and not dialect.header_line_count:
        hint = "give the number of lines to skip"
        yield Finding(("csv", "skip_lines"), "files without a header have nothing to find", hint)
    yield from _check_names(draft)


def _check_other_format(source: SourceSpec) -> Iterator[Finding]:
    """What would be passed over in silence."""
    for key in sorted(source.csv.model_fields_set - {*_OF_EVERY_FORMAT}):
        message = f'means nothing for format "{source.format}"'
        yield Finding(("csv", key), message, f"allowed: {', '.join(_OF_EVERY_FORMAT)}")


def _check_overlaps(dialect: CsvSpec) -> Iterator[Finding]:
    """No mark may be part of another."""
    marks = {
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "escape": dialect.escape_character,
        "record_end": "" if dialect.record_end == "auto" else dialect.record_end,
    }
    for pair in combinations(marks, 2):
        for inner, outer in (pair, pair[::-1]):
            is_tail = (inner, outer) == ("delimiter", "record_end")  # "|" in "|\n": the longer wins
            if marks[inner] and marks[inner] in marks[outer] and not is_tail:
                message = f"{quoted([marks[outer]])} is, or holds, the {inner}"
                yield Finding(("csv", outer), message, "choose another")
                break


def _check_encoding(dialect: CsvSpec) -> Iterator[Finding]:
    """Files are cut at record ends before they are decoded: no letter may look like one."""
    end = "\n" if dialect.record_end == "auto" else dialect.record_end
    for key, text in (("delimiter", dialect.delimiter), ("record_end", end)):
        try:
            encode(text, dialect.encoding)
        except UnicodeEncodeError:
            yield Finding(("csv", key), f"{quoted([text])} cannot be written in {dialect.encoding}")
            return
    is_narrow = unit_bytes(dialect.encoding) == 1
    if is_narrow and bytes_in_letters(dialect.encoding) & {*encode(end, dialect.encoding)}:
        message = f"letters in {dialect.encoding} can contain the bytes of {quoted([end])}"
        yield Finding(("csv", "record_end"), message, "not supported: convert the file to utf-8")


def _check_names(draft: Draft) -> Iterator[Finding]:
    dialect, key = draft.spec.csv, ("csv", "columns")
    if dialect.columns is None:
        return
    if dialect.header_line_count:
        yield Finding(key, "given, but the files have a header", "remove it, or set header = false")
    for name, count in Counter(dialect.columns).items():
        if count > 1:
            yield Finding(key, f'"{name}" stands there {count} times', "every name must differ")
    if not draft.has_read("schema"):
        return
    for name in sorted(set(dialect.columns) - set(draft.column_names)):
        yield Finding(key, f'"{name}" is not in the schema', choice(name, draft.column_names))
    in_rows = {*dialect.columns} | ({EXTRA} if dialect.ragged == "rescue" else set())
    missing = [name for name in draft.column_names if name not in in_rows]
    if missing:
        yield Finding(
            key, f"{quoted(missing)} missing", "name every column of the schema, in order"
        )
