"""The values that travel through ingestd: frozen, picklable, without behaviour of their own.

They cross queues and process borders, in the order a row meets them: a found file,
a claimed file, its chunks, what a worker made of a chunk, and the file's result.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path, PurePosixPath
from pickle import PickleBuffer
from typing import Any, NamedTuple, SupportsIndex

ROW = "__row__"
"""Column that carries a row's place in its chunk (UInt32, from 0) through validation and steps."""


REJECTS = ".rejects"
"""In the names of files with refused rows, which a person mends and drops again."""


class FileState(StrEnum):
    """States of a file in the ledger (``design``: claimed → loading → loaded → archived)."""

    CLAIMED = "claimed"
    LOADING = "loading"
    LOADED = "loaded"
    ARCHIVED = "archived"
    DUPLICATE = "duplicate"
    HELD = "held"
    FAILED = "failed"
    UNDONE = "undone"


COMMITTED = (FileState.LOADED, FileState.ARCHIVED)
"""States in which a file's rows may be seen by readers."""

SET_ASIDE = (FileState.FAILED, FileState.HELD)
"""States of a file that did not load, and waits for a person."""

UNFINISHED = (FileState.CLAIMED, FileState.LOADING)
"""States in which a file's rows may exist but must not be seen."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a file looked like at one moment; a difference means that somebody changed it."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    def is_same_content(self, other: "FileStat") -> bool:
        """Whether nothing wrote to the file between the two looks (a rename is allowed)."""
        return (self.device, self.inode, self.size_bytes, self.mtime_ns) == (
            other.device,
            other.inode,
            other.size_bytes,
            other.mtime_ns,
        )


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A settled file in an inbox, not yet read. ``found_at`` is UTC."""

    source_name: str
    path: Path
    stat: FileStat
    found_at: datetime
    manifest: Path | None = None
    """The side file that tells what it holds, and goes where it goes."""
    replaces: str | None = None
    """The id of the file in whose place it is to be seen."""
    ignores_budget: bool = False
    """However many of its rows are refused, it is to be loaded."""
    name_in_archive: str | None = None
    """Of a file that was unpacked from an archive of several: ``a.zip/2024/may.csv``."""
    directory: str = ""
    """Where it was dropped, below the fixed part of its source's pattern; nothing: right there, or
    elsewhere."""
    version_of: str | None = None
    """The name within the source of what it replaces, wherever it comes from."""

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.name_in_archive or self.path.name

    @property
    def name_in_source(self) -> str:
        """What tells it from the other files of its source, and not from its other versions."""
        return self.version_of or str(PurePosixPath(self.directory, self.name))


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two records: the bytes, rows and physical lines that lie before it."""

    offset_bytes: int = 0
    row: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole records of one file: bytes ``start.offset_bytes`` up to ``end.offset_bytes``
    of its content, which is what a compressed file unpacks to.

    ``end.row - start.row`` is the number of records in it, good or bad.
    """

    path: Path
    stat: FileStat
    start: Position
    end: Position
    octets: bytes | None = None
    """Those bytes, on the way to a worker that cannot read them from the file itself."""
    footer_rows: int = 0
    """Of the last records so many are no data."""

    @property
    def size_bytes(self) -> int:
        return self.end.offset_bytes - self.start.offset_bytes

    @property
    def row_count(self) -> int:
        return self.end.row - self.start.row


@dataclass(frozen=True, slots=True)
class Shape:
    """What one pass over a file found out about its text: what must be known, beside the source,
    to read its chunks, or to write some of its records as a file of the same kind.

    ``columns`` are the file's own column names, in its own order.
    """

    columns: tuple[str, ...]
    encoding: str = "utf-8"
    """Python's name, with the byte order: what the source says, or the file's byte order mark."""
    record_end: str = "\n"
    """Of the first record; where a source leaves that open, others may end otherwise."""
    header_records: frozenset[bytes] = frozenset()
    """What the header says; a record that says the same again is no data."""
    header: bytes = field(default=b"", compare=False)
    """All bytes before the first record; reading chunks does not need them."""
    suffix: str = ".csv"
    """What a file of some of its records is to be called."""
    footer: bytes = field(default=b"", compare=False)
    """All bytes behind the last record, if they are something else."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How the columns of a file differ from those of its source."""

    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Missing column → the new one that has nearly its name: a guess."""
    duplicated: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """The differences there are, by their kind; of very many or long names a part."""
        renamed = {_short(name): _short(new) for name, new in self.renamed.items()}
        kinds = {
            "new": _few(self.new), "missing": _few(self.missing),
            "renamed": dict(islice(renamed.items(), _MOST_NAMES)),
            "duplicated": _few(self.duplicated),
        }  # fmt: skip
        return {kind: names for kind, names in kinds.items() if names}


_MOST_NAMES, _LONGEST_NAME = 50, 100


def _few(names: tuple[str, ...]) -> list[str]:
    more = len(names) - _MOST_NAMES
    return [*map(_short, names[:_MOST_NAMES]), *([f"and {more} more"] if more > 0 else ())]


def _short(name: str) -> str:
    """As text that can be stored anywhere."""
    return name[:_LONGEST_NAME].encode(errors="replace").decode()


NO_DRIFT = Drift()


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What one pass over a file found: its digest, its shape, its chunks and its drift."""

    sha256: bytes
    shape: Shape
    chunks: tuple[Chunk, ...]
    is_packed: bool = False
    """Its chunks are no byte ranges of the file: they go to workers with their bytes."""
    drift: Drift = NO_DRIFT
    told_sum: str | None = None
    """What its trailer says that a column adds up to."""
    skipped_rows: int = 0
    """Of its rows, those that are no data by ``csv.skip_footer`` or ``csv.skip_rows``."""

    @property
    def data_row_count(self) -> int:
        """What other programs count."""
        return self.row_count - self.skipped_rows

    @property
    def row_count(self) -> int:
        return self.chunks[-1].end.row if self.chunks else 0

    @property
    def size_bytes(self) -> int:
        return self.chunks[-1].end.offset_bytes if self.chunks else 0


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file that the ledger says is ours to load. ``processed_at`` is UTC, whole milliseconds."""

    file_id: str
    source_name: str
    name: str
    path: Path
    stat: FileStat
    sha256: str
    processed_at: datetime
    found_at: datetime
    attempts: int = 1
    """The number of this attempt, also among what people did with the file."""
    tries: int = 1
    """How often it was tried so far."""
    manifest: Path | None = None
    replaces: str | None = None
    name_in_source: str = ""


class Violation(NamedTuple):
    """One reason why a row was refused. ``value`` is the text as it stood in the file."""

    column: str | None
    rule: str
    value: str | None
    message: str


def _beside(protocol: SupportsIndex) -> Callable[[bytes], object]:
    """Large bytes may travel beside the pickle (PEP 574) instead of being copied."""
    return PickleBuffer if operator.index(protocol) >= 5 else bytes


@dataclass(frozen=True, slots=True)
class Rejections:
    """Refused rows as finished error documents; ``ends[i]`` is the byte at which one ends."""

    documents: bytes = b""
    ends: bytes = b""
    """int64, native byte order."""
    rules: Mapping[str, int] = field(default_factory=dict)
    """How many reasons there are under each rule."""
    records: bytes | None = None
    """The refused rows as they stood in the file, each with a record end, if they are at hand."""

    def __len__(self) -> int:
        return len(self.ends) // 8

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        offered = _beside(protocol)
        octets = (offered(self.documents), offered(self.ends))
        records = None if self.records is None else offered(self.records)
        return Rejections, (*octets, self.rules, records)


@dataclass(frozen=True, slots=True)
class RefinedChunk:
    """What a worker made of a chunk: finished BSON, and the rows it refused.

    ``documents`` is the concatenation of all documents (for upserts: of all update
    statements); ``ends[i]`` is the byte at which document ``i`` ends.
    """

    chunk: Chunk
    documents: bytes
    ends: bytes
    """int64, native byte order."""
    document_count: int
    filtered_count: int
    rejections: Rejections
    refine_s: float = 0.0

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        offered = _beside(protocol)
        return RefinedChunk, (
            self.chunk, offered(self.documents), offered(self.ends), self.document_count,
            self.filtered_count, self.rejections, self.refine_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """How the rows of a file ended; the parts always add up to ``record_count``."""

    record_count: int = 0
    success_count: int = 0
    error_count: int = 0
    filtered_count: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.record_count + other.record_count,
            self.success_count + other.success_count,
            self.error_count + other.error_count,
            self.filtered_count + other.filtered_count,
        )

    @property
    def is_balanced(self) -> bool:
        """Promise 2: every row is accounted for."""
        return self.record_count == self.success_count + self.error_count + self.filtered_count


@dataclass(frozen=True, slots=True)
class FileResult:
    """How a file ended: its state, counts, and what was wrong if it did not load."""

    file_id: str
    source_name: str
    name: str
    state: FileState
    counts: Counts = field(default_factory=Counts)
    message: str = ""
    hint: str = ""
    moved_to: Path | None = None
    rejects_file: Path | None = None
    queryable_s: float | None = None
    """Seconds from the moment the file was found until its rows could be queried."""
