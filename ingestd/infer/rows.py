"""The rows of sample files, read as the daemon reads them, and what they say of each column."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestd.config.reading import read_source
from ingestd.config.source import SourceSpec
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.infer.encodings import Encoding
from ingestd.infer.evidence import Evidence
from ingestd.infer.layouts import Layout
from ingestd.records import Chunk, FileStat, Violation


@dataclass(slots=True)
class Reading:
    """What was read of one file. Rows that are no data are none here."""

    path: Path
    stat: FileStat
    rows: int = 0
    skipped_rows: int = 0
    """Those of the whole file that are left out as totals or notes."""
    read_bytes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Rows that could not be read, by the rule that they break."""
    is_whole: bool = True
    """Nothing of it was left out."""
    first_faults: dict[int, Violation] = field(default_factory=dict)
    """Some of them, by their number in the file."""
    last_fault: str | None = None
    """The rule that the last row breaks."""
    encoding: Encoding | None = None
    """Of text that may be written in any."""

    def add(self, chunk: Chunk, faults: Mapping[int, Violation], ignored: int = 0) -> None:
        """The rows of a chunk, why some of them, by their index, cannot be read, and how many
        are no data."""
        self.rows += chunk.row_count - ignored
        self.read_bytes = chunk.end.offset_bytes
        last = faults.get(chunk.row_count - 1)
        self.last_fault = last.rule if last else None
        self.faults.update(fault.rule for fault in faults.values())
        for index, fault in list(faults.items())[: 3 - len(self.first_faults)]:
            self.first_faults[chunk.start.row + index + 1] = fault


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of each file is read, and which sheet of a workbook."""

    most_rows: int | None
    most_bytes: int
    sheet: str | None = None

    def is_reached(self, reading: Reading) -> bool:
        is_enough = self.most_rows is not None and reading.rows >= self.most_rows
        return is_enough or reading.read_bytes >= self.most_bytes


def read_rows(
    reading: Reading, layout: Layout, gathered: Sequence[Evidence], extent: Extent
) -> None:
    """Read a file chunk by chunk, as it will be, and let the columns see their texts.

    Raises:
        FileRefused, FileUnavailable: a source with this layout cannot read the file.
        ConfigError: no source can be told to read it, because of its encoding.
    """
    source, limits = _as_texts(reading.path, layout), Limits()
    format_ = FORMATS["csv"]
    found = format_.lay_out(reading.path, reading.stat, source, limits)
    reading.skipped_rows = found.skipped_rows
    chunks = fill(found.chunks, source, limits) if found.is_packed else found.chunks
    for chunk in chunks:
        text = format_.read([chunk], found.shape, source, limits)
        reading.add(chunk, text.faults, sum(len(part.ignored) for part in text.chunks))
        for evidence in gathered:
            evidence.see(text.frame[evidence.name])
        if extent.is_reached(reading):
            reading.is_whole = chunk.end == found.chunks[-1].end
            return


def _as_texts(path: Path, layout: Layout) -> SourceSpec:
    """The source to be, but that it reads every column as text."""
    aliases = layout.aliases
    document = {
        "name": "sample",
        "file_pattern": "sample",
        "csv": layout.options(),
        "schema": {
            column: {"type": "string", "aliases": [aliases[column]] if column in aliases else []}
            for column in layout.columns
        },
    }
    return read_source(path, document)
