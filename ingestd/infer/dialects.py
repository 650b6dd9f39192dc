"""Which delimiter, quote and escape a text is written with.

Each possible dialect is tried on the sample, and the one is taken that gives the most regular
table of the most plausible cells, as in G. van den Burg et al., "Wrangling messy CSV files by
detecting row and type patterns" (2019).
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from itertools import pairwise

from ingestd.infer.damage import Mended, mend

_DELIMITERS = (
    ",", ";", "\t", "|", ":", "^", "~", "\x01", "\x1f", "\x1e", "#", "&", "*", "!",
    ", ", "; ", " ", "\u00a6", "\u00a7", "\u00fe", "\u2022", "\u2502",
)  # fmt: skip
"""The usual first: among equals the earlier one wins."""
_LONG_DELIMITER = re.compile(r"[|:~$@#^*&%!+=;,<>-]{2,4}")
_RULER = re.compile(r"[|+]?(?: ?:?-+:? ?[|+])+(?: ?:?-+:?)?")
"""Below the header of a table as psql or Markdown print it."""
_STAND_IN = "\ue000"
"""A private character: Python's reader knows only delimiters of one."""
MOST_RECORDS = 400
_LINES_OF_RECORD = 4
"""At most, but for a few of them."""

_PLAUSIBLE = re.compile(
    r"""(?x)
    | [+-]? (?:[$€£]\s?[+-]?)? (?:\d{1,3}(?:[.,'\u2019\ \u00a0\u202f]\d{3})+ | \d+)
        (?:[.,]\d*)? (?:[eE][+-]?\d+)? \s? [%€$£]?                                     # numbers
    | [+-]? [.,]\d+ (?:[eE][+-]?\d+)?
    | \d{1,4}[./-]\d{1,2}[./-]\d{1,4} (?:[T\ ] \d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)? .{0,9})?
    | \d{1,2}:\d{2} (?::\d{2}(?:[.,]\d+)?)? (?:\s?[aApP][mM])?
    | [^\W_] [\w.()'/&-]* (?:[,;:]?\ {1,2} [\w.()'/&"%+-]+)*                                # words
    | \S+@\S+\.\w+ | https?://\S+ | -{1,3} | \?+ | \\N | <\w+> | \#N/A
    """
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records are cut into fields. ``escape`` is as in ``csv.escape``."""

    delimiter: str
    quote: str = '"'
    escape: str = "doubled"

    def alternatives(self) -> Iterator["Dialect"]:
        """What to try where this one leaves rows that cannot be read."""
        for quote, escape in (
            ("", "doubled"), ('"', "\\"), ("'", "doubled"), ('"', "doubled"), ("", "\\")
        ):  # fmt: skip
            if (quote, escape) != (self.quote, self.escape):
                yield replace(self, quote=quote, escape=escape)

    def records(self, text: str, most: int = MOST_RECORDS) -> Iterator["Record"]:
        """The first records of a text; lines without content are none."""
        delimiter, text = self.delimiter, self._mended(_beginning_of(text, most)).text
        if len(delimiter) > 1:
            text, delimiter = text.replace(delimiter, _STAND_IN), _STAND_IN
        reader = csv.reader(
            StringIO(text), delimiter=delimiter, quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            doublequote=self.escape == "doubled",
            escapechar=self.escape if len(self.escape) == 1 else None,
        )  # fmt: skip
        line = 0
        with suppress(csv.Error):  # a field larger than Python's limit ends the sample
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield Record(line, reader.line_num, tuple(cells))
                    most -= 1
                line = reader.line_num
                if not most:
                    return

    def is_quoting(self, text: str) -> bool:
        """Whether quotes mean something: as many records have them as they should be as not."""
        mended = self._mended(_beginning_of(text, MOST_RECORDS))
        return mended.quoted >= max(1, mended.damaged)

    def damaged_share(self, text: str) -> float:
        """Of the first lines, how many have quotes that are amiss."""
        beginning = _beginning_of(text, MOST_RECORDS)
        return self._mended(beginning).damaged / max(1, beginning.count("\n"))

    def _mended(self, text: str) -> Mended:
        is_plain = len(self.delimiter) == 1 and self.delimiter.isascii()
        if not self.quote or self.escape != "doubled" or not is_plain:
            return Mended(text, 0, 0)
        return mend(text, self.delimiter, self.quote)


def _beginning_of(text: str, records: int) -> str:
    """Lines enough for so many records; all of them where it is a negative number."""
    if records < 0:
        return text
    end = -1
    for _ in range(_LINES_OF_RECORD * records):
        end = text.find("\n", end + 1)
        if end < 0:
            return text
    return text[: end + 1]


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of a record, and the physical lines before it and up to its end."""

    first_line: int
    last_line: int
    cells: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What it has in common with a header that it repeats."""
        return tuple(cell.strip("\ufeff").strip().casefold() for cell in self.cells)


def guess_dialect(text: str) -> Dialect:
    """The dialect of the text, whose lines end with LF."""
    best = max(_possible(text), key=lambda dialect: _score(text, dialect))
    widths = Counter(len(record.cells) for record in best.records(text))
    if max(widths, key=lambda width: (widths[width], width), default=1) > 1:
        return _lengthened(best, text)
    if (longer := _lengthened(replace(best, delimiter=""), text)).delimiter:
        return longer
    unused = (delimiter for delimiter in _DELIMITERS if delimiter not in text)
    return replace(best, delimiter=next(unused, best.delimiter))


def _possible(text: str) -> Iterator[Dialect]:
    lines = [line for line in text.split("\n", 2 * MOST_RECORDS)[: 2 * MOST_RECORDS] if line]
    if any("|" in upper and _RULER.fullmatch(line.strip()) for upper, line in pairwise(lines)):
        yield from _with_quotes("|", text)
        return
    for delimiter in _DELIMITERS:
        # what stands in front of all values, as in lists of #tags, delimits nothing
        is_spread = sum(delimiter in line[1:] for line in lines) > 0.3 * len(lines)
        if len(delimiter) > 1 and f'{delimiter}"' in text:
            yield Dialect(delimiter)
        elif len(delimiter) == 1 and (is_spread or delimiter == ","):
            yield from _with_quotes(delimiter, text)


def _with_quotes(delimiter: str, text: str) -> Iterator[Dialect]:
    """Quotes count where one stands beside a delimiter or a line end."""
    is_quoted = False
    for quote in ('"', "'", "`"):
        beside = rf"(?m)(?:^|{re.escape(delimiter)}){quote}|{quote}(?:$|{re.escape(delimiter)})"
        if re.search(beside, text):
            is_quoted = True
            yield from _with_escapes(Dialect(delimiter, quote), text)
    if not Dialect(delimiter).is_quoting(text):
        quote = "" if is_quoted or '"' in text else '"'
        yield from _with_escapes(Dialect(delimiter, quote), text)
    elif not is_quoted:
        yield from _with_escapes(Dialect(delimiter), text)


def _with_escapes(dialect: Dialect, text: str) -> Iterator[Dialect]:
    """Backslashes count where one stands before a quote or a delimiter."""
    yield dialect
    if any(mark and f"\\{mark}" in text for mark in (dialect.quote, dialect.delimiter)):
        yield replace(dialect, escape="\\")


def _score(text: str, dialect: Dialect) -> float:
    """Regularity times plausibility; both are 1 at best."""
    records = list(dialect.records(text))
    if not records:
        return 0.0
    widths = Counter(len(record.cells) for record in records)
    regular = sum(n * max(width - 1, 1e-3) / width for width, n in widths.items())
    cells = [cell for record in records for cell in record.cells]
    plausible = sum(_PLAUSIBLE.fullmatch(cell.strip()) is not None for cell in cells)
    sound = 1 - dialect.damaged_share(text) / 2  # the damage shows in the other two, too
    return sound * regular / len(widths) / len(records) * max(plausible, 1e-3) / len(cells)


def _lengthened(dialect: Dialect, text: str) -> Dialect:
    """``||`` or ``=>`` where that gives a table without any exception."""
    runs = Counter(found[0] for found in _LONG_DELIMITER.finditer(text))
    for run, _ in runs.most_common(3):
        longer = replace(dialect, delimiter=run)
        widths = {len(record.cells) for record in longer.records(text)}
        # "1,,3" has a column that is empty, but "1,,2,,3" rather none
        least = 3 if set(run) <= {*dialect.delimiter} else 2
        if dialect.delimiter in run and len(widths) == 1 and min(widths) >= least:
            return longer
    return dialect
