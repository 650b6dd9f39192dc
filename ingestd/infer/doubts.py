"""What is uncertain about how files are laid out, and how to have the other reading."""

from collections.abc import Iterator

from ingestd.config.naming import counted
from ingestd.infer.attempts import Read
from ingestd.infer.layouts import Layout

_MOST_LINES = 5
_FATES = {
    "above": "only the one below it is read, its rows are left out (skip_lines)",
    "below": "only the first one is read, its rows are refused",
    "below, as wide": "its rows are taken for rows of the first one",
}
"""What becomes of a table beside the one that is read."""


def doubts_of(read: Read) -> Iterator[str]:
    """What a person should look at before the source is used."""
    yield from _doubts_about_header(read)
    layout, outline = read.layout, read.layout.outline
    if other := layout.other_table:
        fate = _FATES[other.place]
        yield (
            f"Another table begins on line {other.line}: {fate};"
            " files of one table each would load whole"
        )
    if layout.comment and layout.comment_lines:
        yield _doubt_about_comments(layout)
    if layout.skip_rows:
        count = sum(reading.skipped_rows for reading in read.readings)
        yield f"Taken for totals or notes and left out (skip_rows): {counted(count, 'row')}"
    if not layout.dialect.quote:
        yield 'Quotes are part of the values (quote = ""): fields in quotes would keep them'
    if layout.ragged == "pad":
        yield f"Rows that lack fields, which become null: {read.short_share:.0%}"
    if outline.names and not outline.is_aligned:
        yield (
            "AMBIGUOUS: the header names fewer columns than the rows have; taken to be without a"
            f" name: {', '.join(layout.nameless)}"
        )
    rows = sum(reading.rows for reading in read.readings)
    if rows == 0:
        yield "There is a header and no row: the types, all string, are told by nothing"
    if rows == 1:
        yield "Types are told by one row alone"


def _doubt_about_comments(layout: Layout) -> str:
    lines = [f"line {line + 1}" for line in layout.comment_lines[:_MOST_LINES]]
    more = len(layout.comment_lines) - len(lines)
    where = ", ".join(lines) + (f" and {counted(more, 'line')} more" if more else "")
    return f"Taken for comments and left out: {where}; if they are rows, remove comment from [csv]"


def _doubts_about_header(read: Read) -> Iterator[str]:
    layout, outline = read.layout, read.layout.outline
    if not outline.names:
        yield (
            "No header was found, columns are told by their places: remove header and columns"
            " from [csv] if the first line names them"
        )
    elif not layout.is_named:
        fault = layout.header_fault or "no header tells all of them apart"
        yield f"Columns are told by their places, the header of later files is not read: {fault}"
    elif not read.is_empty and all(column.is_text for column in read.decision.columns):
        yield (
            "AMBIGUOUS: a header of texts above texts; if it is a row, set header = false and"
            " columns = [...] in [csv]"
        )
    if outline.header_lines > 1:
        yield (
            f"Names are joined from {outline.header_lines} lines (header_lines): if the upper ones"
            " do not belong to them, skip those (skip_lines)"
        )
    if outline.skip_lines:
        yield f"Above the table, and left out (skip_lines): {counted(outline.skip_lines, 'line')}"
