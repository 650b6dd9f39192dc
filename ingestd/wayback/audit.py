"""``audit``: a proof, row by row, that a file is stored as its original says.

Each chunk is refined again, by the rules of today, and compared with what is stored, byte by byte:
every row is the document it should be, a recorded rejection, or filtered.
"""

from dataclasses import dataclass

from ingestd.config.naming import counted
from ingestd.documents import decoded, row_number, split
from ingestd.errors import ActionRefused
from ingestd.ledger import as_counts, count_fields
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED, Chunk, Counts, RefinedChunk
from ingestd.refine import refine
from ingestd.wayback.lookup import find_file, source_of
from ingestd.wayback.original import Original, open_original
from ingestd.workers import run_twice


@dataclass(frozen=True, slots=True)
class Audit:
    """What was proved; ``difference`` is the first thing that is not as it should be."""

    entry: Document
    counts: Counts
    row: int | None = None
    difference: str = ""
    has_new_rules: bool = False
    """The source has changed since the file was loaded, which may be all that differs."""

    def as_document(self) -> Document:
        """For programs."""
        return {
            "file_id": self.entry["_id"], "file": self.entry["name"], **count_fields(self.counts),
            "is_right": not self.difference, "row": self.row, "difference": self.difference,
            "has_new_rules": self.has_new_rules,
        }  # fmt: skip


async def audit(desk: Desk, file: str) -> Audit:
    """Compare a loaded file with its original.

    Raises:
        UnknownFile, ActionRefused: it is not loaded, or its rows may have been replaced.
        FileRefused, FileUnavailable: its original is not there, or not what it was.
    """
    entry = await find_file(desk, file)
    if entry["state"] not in COMMITTED:
        raise ActionRefused(
            f"{entry['name']} is {entry['state']}: nothing of it is stored",
            f"see `ingestd files {entry['_id']}`",
        )
    if source_of(desk, entry).load.mode == "upsert":
        raise ActionRefused(
            f"later rows may have replaced those of {entry['name']}", "audit is for inserts"
        )
    original = await open_original(desk, entry)
    has_new_rules = desk.rules(original.source).config_hash != entry["config_hash"]
    counts = Counts()
    async for chunk, repeats in original.chunks(desk):
        refined = await run_twice(desk.workers, refine, original.plan, chunk, repeats)
        kept = await _kept(desk, original, chunk)
        if (difference := _first_difference(refined, kept)) is not None:
            return Audit(entry, counts, *difference, has_new_rules)
        counts += _counts(refined, kept)
    return Audit(entry, counts, None, await _miscounted(desk, entry, counts), has_new_rules)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is stored of a chunk: its documents, and the rows whose rejections are recorded."""

    documents: bytes
    refused: frozenset[int]


async def _kept(desk: Desk, original: Original, chunk: Chunk) -> _Kept:
    file_id, rows = original.plan.run.file_id, (chunk.start.row + 1, chunk.end.row)
    documents = await desk.loader.stored(original.source.name, file_id, *rows)
    states = await desk.rejects.states(file_id, *rows)
    refused = frozenset(row for row, state in states.items() if state != "replayed")
    return _Kept(documents, refused)


def _first_difference(refined: RefinedChunk, kept: _Kept) -> tuple[int, str] | None:
    """The first row that is not as it should be, and what is wrong with it."""
    wrong = _by_row(refined.rejections.documents).keys()
    if kept.documents == refined.documents and kept.refused == wrong:
        return None
    right, stored = _by_row(refined.documents), _by_row(kept.documents)
    for row in sorted(right.keys() | stored.keys() | wrong):
        told = _difference(right.get(row), stored.get(row), is_refused=row in kept.refused)
        if row in wrong - kept.refused:
            told = "it has to be refused, and no rejection is recorded"
        if told:
            return row, told
    return None


def _difference(right: bytes | None, stored: bytes | None, *, is_refused: bool) -> str:
    """What is wrong with a row; nothing, if all is well."""
    if is_refused:
        return "there is a document and an open rejection" if stored else ""
    if right is None:
        return "there is a document, and it should have been filtered" if stored else ""
    if stored is None:
        return "there is neither a document nor a rejection"
    return "" if stored == right else _first_field(*decoded(right + stored))


def _first_field(right: Document, stored: Document) -> str:
    for name in right | stored:
        here, there = repr(stored.get(name)), repr(right.get(name))
        if here != there:
            return f"{name} is {here} and should be {there}"
    return "its columns have another type or order"


def _by_row(documents: bytes) -> dict[int, bytes]:
    return {row_number(one, is_upsert=False): one for one in split(documents)}


def _counts(refined: RefinedChunk, kept: _Kept) -> Counts:
    """Of a chunk in which all is well."""
    total, refused = refined.chunk.row_count, len(kept.refused)
    stored = refined.document_count
    if kept.documents != refined.documents:  # MongoDB has refused some
        stored = len(_by_row(kept.documents))
    return Counts(total, stored, refused, total - stored - refused)


async def _miscounted(desk: Desk, entry: Document, counts: Counts) -> str:
    """What is wrong with the counts, when every row is as it should be."""
    if counts != as_counts(entry):
        return f"the ledger counts {_told(as_counts(entry))}, and there are {_told(counts)}"
    stored = await desk.loader.count(entry["source_name"], entry["_id"])
    if stored != counts.success_count:
        extra = counted(stored - counts.success_count, "document")
        return f"{extra} too many, with numbers of rows that it never had"
    return ""


def _told(counts: Counts) -> str:
    return (
        f"{counted(counts.success_count, 'document')}, "
        f"{counted(counts.error_count, 'rejection')}, "
        f"{counted(counts.filtered_count, 'filtered row')}"
    )
