"""Which lines of a text are comments: those that begin with a mark and are no rows of the table.

A mark also begins values: tags, colours, negative numbers. So the evidence is what most of the
marked lines are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingestd.infer.cells import cell_of, is_blank
from ingestd.infer.dialects import Dialect, Record
from ingestd.infer.outline import draw_outline
from ingestd.infer.samples import lines_of
from ingestd.infer.starts import width_of
from ingestd.infer.summaries import is_rule
from ingestd.infer.usual import UsualRows, usual_rows

_FIRST = ("#", "%", "//", "--")
"""What marks comments also where they all stand above the table."""
_FLAGS = ("!", "*")
"""What stands before single values, too."""
_PREFIXES = (*_FIRST, ";", *_FLAGS)
_MARKED = re.compile(f"(?m)^(?:{'|'.join(map(re.escape, _PREFIXES))})")
_RULE_ABOVE = re.compile(r"\+[-=+]{2,}\+\s*")
"""Of a table as databases print it. Its rows begin with other characters."""
_ALL = -1


@dataclass(frozen=True, slots=True)
class Commented:
    """A text without its comments, which are blank lines there."""

    text: str
    prefix: str = ""
    """Empty where there is none."""
    lines: tuple[int, ...] = ()
    """Where the comments are, from 0."""
    is_header_marked: bool = False
    """Whether the header begins with the prefix, too: then only comments below it are blank."""


def without_likely_comments(text: str) -> str:
    """The text without lines that begin with a mark like its first one, if any others are left."""
    first = next((line for line in lines_of(text) if line.strip()), "")
    prefix = next((prefix for prefix in _FIRST if first.startswith(prefix)), "")
    bare = without_comments(text, "+" if _RULE_ABOVE.fullmatch(first) else prefix)
    return bare if bare.strip() else text


def without_comments(text: str, prefix: str) -> str:
    """The text with blank lines for those that begin so."""
    if not prefix:
        return text
    return "".join("\n" if line.startswith(prefix) else line for line in lines_of(text))


def find_comments(text: str, dialect: Dialect) -> Commented:
    """The text, written in this dialect, without its comments."""
    lines = lines_of(text)
    if _RULE_ABOVE.fullmatch(next((line for line in lines if line.strip()), "")):
        return Commented(without_comments(text, "+"), "+")
    if not _MARKED.search(text):
        return Commented(text)
    records = [record for record in dialect.records(text, _ALL) if not is_rule(record)]
    found = [
        (prefix, comments)
        for prefix in _PREFIXES
        if not prefix.startswith(dialect.delimiter)
        and (comments := _comments(records, lines, prefix))
    ]
    if not found:
        return Commented(text)
    prefix, comments = max(found, key=lambda one: len(one[1]))
    return _commented(lines, prefix, comments, dialect)


def _commented(
    lines: Sequence[str], prefix: str, comments: Sequence[Record], dialect: Dialect
) -> Commented:
    places = [record.first_line for record in comments]
    bare = _blanked(lines, places)
    header = _marked_header(lines, bare, dialect)
    if header is None:
        return Commented(bare, prefix, tuple(places))
    below = tuple(place for place in places if place > header)
    return Commented(_blanked(lines, below), prefix if below else "", below, bool(below))


def _blanked(lines: Sequence[str], places: Sequence[int]) -> str:
    comments = {*places}
    return "".join("\n" if place in comments else line for place, line in enumerate(lines))


def _comments(records: Sequence[Record], lines: Sequence[str], prefix: str) -> Sequence[Record]:
    """The records that begin so if most of them are no rows; none where it begins values.

    Those above or below all others are notes, unless such begin the file.
    """
    marked = [record for record in records if lines[record.first_line].startswith(prefix)]
    others = [record for record in records if not lines[record.first_line].startswith(prefix)]
    if not marked or not others or any(lines[o.first_line][0] == prefix[0] for o in others):
        return ()
    rows = usual_rows(others, width_of(others))
    count = sum(not _is_row(record, rows, prefix) for record in marked)
    if prefix in _FLAGS:  # draws titles, too
        others = [record for record in others if len(record.cells) == rows.width]
    first, last = others[0].first_line, others[-1].first_line
    is_above = prefix in _FIRST and marked[0].first_line < first
    is_between = any(first < record.first_line < last for record in marked)
    return marked if 2 * count >= len(marked) and (is_above or is_between) else ()


def _is_row(record: Record, rows: UsualRows, prefix: str) -> bool:
    """Whether the record is a row like those without the mark, and not one that is left out."""
    bare = cell_of(record, 0).removeprefix(prefix)
    if not bare or is_blank(record, 0):
        return len(record.cells) == rows.width
    is_left_out = prefix not in _FLAGS and (bare[0] == " " or 0 in rows.valued)
    return not is_left_out and rows.have(replace(record, cells=(bare, *record.cells[1:])))


def _marked_header(lines: Sequence[str], bare: str, dialect: Dialect) -> int | None:
    """The last line of those marked above the table, if it names the columns of the rows below."""
    first = next(dialect.records(bare), None)
    place = first.first_line - 1 if first else -1
    last = next(dialect.records(lines[place]), None) if place >= 0 else None
    if first is None or last is None:
        return None
    is_named = len(last.cells) == len(first.cells) > 1
    return place if is_named and not draw_outline([first]).header_lines else None
