"""How one file is laid out: the ``[csv]`` options that read it, and its columns' names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingestd.infer.dialects import MOST_RECORDS, Dialect, Record, guess_dialect
from ingestd.infer.names import storable_names
from ingestd.infer.outline import (
    Commented,
    Outline,
    draw_outline,
    find_comments,
    without_comments,
)
from ingestd.infer.samples import CR_CR_LF, Sample, lines_of
from ingestd.infer.summaries import is_rule, skipped_beginnings
from ingestd.infer.tables import line_of_second_table

_ALL = -1
_SEPARATOR_LINE = re.compile(r'\A"?sep=(.{1,16}?)"?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """``names`` are those of the file, ``columns`` those that the documents get, both in order."""

    dialect: Dialect
    outline: Outline
    encoding: str
    columns: tuple[str, ...]
    """None is called like another."""
    skip_rows: tuple[str, ...] = ()
    ragged: str = "reject"
    record_end: str = "auto"
    has_one_start: bool = True
    """Whether the header stands on the same line in all files."""
    second_table_line: int | None = None
    """Where another table begins, whose rows cannot be read."""
    header_fault: str = ""
    """Why the columns cannot be found by the names in the header."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.outline.names

    @property
    def nameless(self) -> tuple[str, ...]:
        """The columns for which the header has no name."""
        named = zip(self.columns, self.names, strict=False)
        return tuple(column for column, name in named if not name)

    @property
    def is_named(self) -> bool:
        """Whether the header's names are enough to tell the columns apart."""
        quote = self.dialect.quote or "\n"
        are_plain = all(name.isprintable() and quote not in name for name in self.names)
        is_clear = are_plain and len(set(self.names)) == len(self.names) > 0
        return is_clear and self.outline.is_aligned and not self.header_fault

    @property
    def aliases(self) -> dict[str, str]:
        """The columns that have another name in the file."""
        named = zip(self.columns, self.names, strict=True) if self.is_named else ()
        return {column: name for column, name in named if name != column}

    def by_place(self, header_fault: str) -> "Layout":
        """The same without the header, for this reason: of all fields of the rows."""
        outline = replace(self.outline, names=self.outline.every_name)
        columns = storable_names(outline.names or ("",) * outline.width)
        return replace(self, outline=outline, columns=columns, header_fault=header_fault)

    def with_names(self, names: Sequence[str]) -> "Layout":
        """The same with some of its columns only; all of them where they have no names."""
        if not self.is_named:
            return self
        columns = tuple(self.columns[self.names.index(name)] for name in names)
        return replace(self, outline=replace(self.outline, names=tuple(names)), columns=columns)

    def options(self) -> dict[str, Any]:
        """What ``[csv]`` has to say beside the defaults, to read the file by its header."""
        if not self.is_named:
            return self._positional_options()
        lines = self.outline.header_lines
        header = {"header_lines": lines} if lines > 1 else {}
        skipped = self.outline.skip_lines if self.has_one_start else "auto"
        return self._dialect_options() | header | _given(skip_lines=skipped)

    def _positional_options(self) -> dict[str, Any]:
        """The same, to read the rows alone."""
        options = {**self._dialect_options(), "header": False, "columns": list(self.columns)}
        return options | _given(skip_lines=self.outline.data_line)

    def _dialect_options(self) -> dict[str, Any]:
        defaults = {
            "delimiter": ",", "quote": '"', "escape": "doubled", "encoding": "utf-8",
            "record_end": "auto", "ragged": "reject", "comment": "", "skip_rows": (),
        }  # fmt: skip
        options = {
            "delimiter": self.dialect.delimiter, "quote": self.dialect.quote,
            "escape": self.dialect.escape, "encoding": self.encoding,
            "record_end": self.record_end, "ragged": self.ragged,
            "comment": self.outline.comment, "skip_rows": self.skip_rows,
        }  # fmt: skip
        return {key: value for key, value in options.items() if value != defaults[key]}


def find_layout(sample: Sample) -> Layout:
    """The layout of the file that was sampled."""
    if told := _SEPARATOR_LINE.match(sample.start):
        return layout_in(sample, Dialect(told[1]))
    return layout_in(sample, guess_dialect(find_comments(sample.start).text))


def layout_in(sample: Sample, dialect: Dialect) -> Layout:
    """The layout of the file, if it is written in this dialect."""
    text = _SEPARATOR_LINE.sub("\n", sample.start, count=1)
    commented = find_comments(text)
    if commented.prefix and _is_header_marked(text, commented, dialect):
        commented = Commented("", text)
    records = [record for record in dialect.records(commented.text) if not is_rule(record)]
    outline = draw_outline(records, commented.prefix)
    rows = [record for record in records if record.first_line >= outline.data_line]
    return Layout(
        dialect, outline, sample.encoding.name,
        storable_names(outline.names or ("",) * outline.width),
        _skipped_rows(sample, dialect, outline),
        "rescue" if outline.has_blank_extras else "reject",
        CR_CR_LF if sample.record_end == CR_CR_LF else "auto",
        second_table_line=line_of_second_table(rows, outline.width),
    )  # fmt: skip


def _skipped_rows(sample: Sample, dialect: Dialect, outline: Outline) -> tuple[str, ...]:
    """How totals and notes begin; looked for in the first rows, and in the last ones."""

    def rows(text: str, most: int) -> list[Record]:
        bare = without_comments(text, outline.comment).text
        return list(dialect.records(bare, most))

    is_whole = sample.end.removeprefix("\ufeff") == sample.start
    first = rows(sample.start, _ALL if is_whole else MOST_RECORDS)
    records = [record for record in first if record.first_line >= outline.data_line]
    if not is_whole:
        records += rows(sample.end, _ALL)
    is_cut_off = sample.is_cut_off
    return skipped_beginnings(records, outline.width, is_cut_off=is_cut_off)


def _is_header_marked(text: str, commented: Commented, dialect: Dialect) -> bool:
    """Whether the last line that looks like a comment names the columns of the rows below."""
    first = next(dialect.records(commented.text), None)
    above = lines_of(text)[: first.first_line if first else 0]
    last = next(dialect.records("".join(above[-1:])), None)
    if first is None or last is None:
        return False
    return len(last.cells) == len(first.cells) > 1 and not draw_outline([first]).header_lines


def _given(**options: Any) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in options.items() if value}
