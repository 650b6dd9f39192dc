"""Sample files read with the likeliest layout, or with another one where that reads more."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from ingestd.errors import FileRefused
from ingestd.infer.alike import left_out, shared_layout, unlike
from ingestd.infer.columns import Decision, decide
from ingestd.infer.evidence import Evidence
from ingestd.infer.layouts import Layout, find_layout, layout_in
from ingestd.infer.rows import Extent, Reading, read_rows
from ingestd.infer.samples import Files, Sample
from ingestd.infer.summaries import is_total, shortest

_SHORT = "too_few_fields"
_LEAST_SHORT_SHARE = 0.1
"""Where so many rows lack fields it is how the file is written; fewer are damaged rows."""
_LEAST_SHORT_ROWS = 5
"""Fewer of them are damaged, too, unless no row is whole."""


@dataclass(frozen=True)
class Read:
    """What reading all files with one layout gave."""

    layout: Layout
    readings: tuple[Reading, ...]
    evidence: tuple[Evidence, ...]
    left_out: tuple[str, ...]
    """Columns that only some files have."""
    short_rows: int = 0
    """Rows that have fewer fields than the header, but for a last one that is cut off."""

    @cached_property
    def decision(self) -> Decision:
        return decide(self.evidence, self.layout.dialect.delimiter)

    @property
    def faults(self) -> Counter[str]:
        """Rows that could not be read, by the rule that they break."""
        return sum((reading.faults for reading in self.readings), Counter[str]())

    @property
    def unread(self) -> int:
        """Rows that could not be read."""
        return self.faults.total()

    def reads_more_than(self, other: "Read") -> bool:
        """Whether it has more values, none of which makes a column text that was not."""
        columns = zip(self.decision.columns, other.decision.columns, strict=False)
        has_lost = any(own.is_text and not its.is_text for own, its in columns)
        return self.filled > other.filled and not has_lost

    @property
    def filled(self) -> int:
        """Values in all rows that could be read."""
        return sum(evidence.filled for evidence in self.evidence)

    @property
    def short_share(self) -> float:
        """Of all rows, those that are short."""
        return self.short_rows / max(1, sum(reading.rows for reading in self.readings))

    @property
    def has_usual_short_rows(self) -> bool:
        """Whether it is how the files are written that rows are short."""
        least = 1 if self.is_empty else _LEAST_SHORT_ROWS
        return self.short_rows >= least and self.short_share >= _LEAST_SHORT_SHARE

    @property
    def is_empty(self) -> bool:
        """Whether not one row could be read."""
        return not any(evidence.rows for evidence in self.evidence)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the same files in different ways."""

    samples: Sequence[Sample]
    files: Files
    extent: Extent

    def read_best(self) -> Read:
        """With the likeliest layout; where that leaves rows, with the one that leaves fewest.

        Raises:
            FileRefused: no source reads them, or not one row.
        """
        best = self._likeliest()
        if best.is_empty and not best.layout.is_header_alone:
            raise _unreadable(best)
        return best

    def _likeliest(self) -> Read:
        best = self._without_totals(self._read(find_layout(self.samples[0])))
        if best.faults["stray_quote"] or best.faults["unclosed_quote"]:
            best = min([best, *self._read_otherwise(best.layout)], key=lambda read: read.unread)
        if best.has_usual_short_rows:
            padded = self._read(replace(best.layout, ragged="pad"))
            if best.is_empty or padded.reads_more_than(best):
                return replace(padded, short_rows=best.short_rows)
        return best

    def _without_totals(self, read: Read) -> Read:
        """Read again where a column is text because of sums far from the file's ends."""
        nearly = (evidence.nearly for evidence in read.evidence)
        totals = [text for one in nearly if one for text in one.others if is_total(text)]
        if not totals:
            return read
        skipped = shortest((*read.layout.skip_rows, *totals))
        return self._read(replace(read.layout, skip_rows=skipped))

    def _read(self, layout: Layout) -> Read:
        """With this layout of the first file; the others are written in the same dialect."""
        others = (layout_in(sample, layout.dialect) for sample in self.samples[1:])
        layouts = [layout, *(replace(other, ragged=layout.ragged) for other in others)]
        shared = self._shared(layouts)
        try:
            return self._read_as(shared, layouts)
        except FileRefused as refusal:
            if not shared.is_named:
                raise
            by_place = [own.by_place(refusal.message) for own in layouts]
        return self._read_as(shared_layout(by_place, self.files), by_place)

    def _shared(self, layouts: Sequence[Layout]) -> Layout:
        try:
            return shared_layout(layouts, self.files)
        except FileRefused:
            self._check_delimiters(layouts[0].dialect.delimiter)
            raise

    def _check_delimiters(self, delimiter: str) -> None:
        """Refuse what is written with another one, which is why it seems to differ otherwise."""
        first = self.files[0][0]
        for sample, (path, _) in zip(self.samples[1:], self.files[1:], strict=True):
            own = find_layout(sample)
            if own.outline.width > 1 and own.dialect.delimiter != delimiter:
                told = f"its delimiter is {own.dialect.delimiter!r}, not {delimiter!r}"
                raise unlike(path, first, told)

    def _read_as(self, shared: Layout, layouts: Sequence[Layout]) -> Read:
        gathered = tuple(map(Evidence, shared.columns))
        readings = tuple(
            Reading(path, stat, encoding=sample.encoding)
            for (path, stat), sample in zip(self.files, self.samples, strict=True)
        )
        for reading, own in zip(readings, layouts, strict=True):
            if not own.is_header_alone:
                read_rows(reading, shared, gathered, self.extent)
        short_rows = sum(map(_count_short_rows, readings, self.samples))
        return Read(shared, readings, gathered, tuple(left_out(layouts, shared)), short_rows)

    def _read_otherwise(self, layout: Layout) -> Iterator[Read]:
        """The same in the other dialects that are possible."""
        is_quoting = layout.dialect.is_quoting(self.samples[0].start)
        for dialect in layout.dialect.alternatives():
            if is_quoting and dialect.quote != layout.dialect.quote:
                continue
            with suppress(FileRefused):
                yield self._read(layout_in(self.samples[0], dialect))


def _count_short_rows(reading: Reading, sample: Sample) -> int:
    is_last_cut_off = reading.is_whole and sample.is_cut_off and reading.last_fault == _SHORT
    return reading.faults[_SHORT] - is_last_cut_off


def _unreadable(read: Read) -> FileRefused:
    first = read.readings[0]
    why = next((fault.message for fault in first.first_faults.values()), "it repeats its header")
    return FileRefused(
        "unreadable", f"not one row of {first.path.name} can be read: {why}",
        "is it a CSV file? infer found no way of writing one that fits it",
    )  # fmt: skip
