"""How one file is laid out: the ``[csv]`` options that read it, and its columns' names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingestd.infer.comments import (
    Commented,
    find_comments,
    without_comments,
    without_likely_comments,
)
from ingestd.infer.dialects import MOST_RECORDS, Dialect, guess_dialect
from ingestd.infer.names import storable_names
from ingestd.infer.outline import Outline, draw_outline
from ingestd.infer.samples import CR_CR_LF, Sample
from ingestd.infer.summaries import is_rule, shortest, skipped_beginnings
from ingestd.infer.tables import OtherTable, find_other_table

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
    comment: str = ""
    comment_lines: tuple[int, ...] = ()
    """Where comments were found in the sample, from 0."""
    skip_rows: tuple[str, ...] = ()
    ragged: str = "reject"
    record_end: str = "auto"
    has_one_start: bool = True
    """Whether the header stands on the same line in all files."""
    other_table: OtherTable | None = None
    is_header_alone: bool = False
    """Whether no row stands below a header, which is no sentence."""
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
            "comment": self.comment, "skip_rows": self.skip_rows,
        }  # fmt: skip
        return {key: value for key, value in options.items() if value != defaults[key]}


def find_layout(sample: Sample) -> Layout:
    """The layout of the file that was sampled."""
    if told := _SEPARATOR_LINE.match(sample.start):
        return layout_in(sample, Dialect(told[1]))
    likely = guess_dialect(without_likely_comments(sample.start))
    commented = find_comments(sample.start, likely)
    return layout_in(sample, guess_dialect(commented.text) if commented.lines else likely)


def layout_in(sample: Sample, dialect: Dialect) -> Layout:
    """The layout of the file, if it is written in this dialect."""
    text = _SEPARATOR_LINE.sub("\n", sample.start, count=1)
    commented = find_comments(text, dialect)
    records = [record for record in dialect.records(commented.text) if not is_rule(record)]
    outline = draw_outline(records)
    rows = [record for record in records if record.first_line >= outline.data_line]
    return Layout(
        dialect, outline, sample.encoding.name,
        storable_names(outline.names or ("",) * outline.width),
        "" if commented.is_header_marked else commented.prefix, commented.lines,
        _skipped_rows(sample, dialect, outline, commented),
        "rescue" if outline.has_blank_extras else "reject",
        CR_CR_LF if sample.record_end == CR_CR_LF else "auto",
        other_table=find_other_table(records, outline),
        is_header_alone=not rows and len(outline.names) > 1 and dialect.delimiter != " ",
    )  # fmt: skip


def _skipped_rows(
    sample: Sample, dialect: Dialect, outline: Outline, commented: Commented
) -> tuple[str, ...]:
    """How totals and notes begin; looked for in the first rows, and in the last ones."""
    is_whole = sample.end.removeprefix("\ufeff") == sample.start
    first = dialect.records(commented.text, _ALL if is_whole else MOST_RECORDS)
    records = [record for record in first if record.first_line >= outline.data_line]
    if not is_whole:
        records += dialect.records(without_comments(sample.end, commented.prefix), _ALL)
    skipped = skipped_beginnings(records, outline.width, is_cut_off=sample.is_cut_off)
    return shortest((commented.prefix, *skipped)) if commented.is_header_marked else skipped


def _given(**options: Any) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in options.items() if value}
