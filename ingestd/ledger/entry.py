"""The shape of a ledger document, and what its fields mean as values."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingestd.files import displayable
from ingestd.mongo import Document
from ingestd.records import ClaimedFile, Counts, FoundFile, Position

FILES = "files"
REPLACEMENT = "replacement"
"""Of a file that can be seen: the file id of the content that is to take its place."""
SOURCES = "ingestd_sources"
"""One document per source: its newest ``processed_at``, and how often people changed its rows."""

_COUNTS = ("record_count", "success_count", "error_count", "filtered_count")
_MILLISECOND = 1000  # microseconds


def now() -> datetime:
    """UTC in whole milliseconds, as BSON keeps it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // _MILLISECOND * _MILLISECOND)


def as_counts(document: Mapping[str, Any]) -> Counts:
    """The counts of a ledger document."""
    return Counts(*(int(document.get(name) or 0) for name in _COUNTS))


def count_fields(counts: Counts) -> Document:
    """How the rows of a file ended."""
    return {name: getattr(counts, name) for name in _COUNTS}


def progress_fields(position: Position, counts: Counts) -> Document:
    """How far a file is durable: every row before ``position``, and ``counts`` of those rows."""
    place = {"offset_bytes": position.offset_bytes, "row": position.row, "line": position.line}
    return {"position": place, "rows_done": position.row, **count_fields(counts)}


def tries(entry: Mapping[str, Any]) -> int:
    """How often a file was tried: what people did with it has numbers among ``attempts``, too."""
    return int(entry["attempts"]) - int(entry.get("interventions", 0))


def path_fields(name: str, path: Path | None) -> Document:
    """A path as people read it; where that is not the path itself, its bytes, too."""
    if path is None:
        return {name: None, f"{name}_bytes": None}
    text = displayable(path)
    return {name: text, f"{name}_bytes": None if text == str(path) else os.fsencode(path)}


def path_in(entry: Mapping[str, Any], name: str) -> Path | None:
    """The path that ``path_fields`` wrote."""
    octets = entry.get(f"{name}_bytes")
    if octets is not None:
        return Path(os.fsdecode(octets))
    return None if entry.get(name) is None else Path(entry[name])


def place_fields(found: FoundFile) -> Document:
    """Where the file lies."""
    return {
        "name": displayable(found.name),
        "name_in_source": displayable(found.name_in_source),
        **path_fields("path", found.path),
        **(path_fields("manifest", found.manifest) if found.manifest else {}),
        "size": found.stat.size_bytes,
    }


def new_entry(found: FoundFile, sha256: str, processed_at: datetime) -> Document:
    """A file of which nothing is done yet; ``_id`` and ``state`` are the caller's to add."""
    return {
        "source_name": found.source_name, "sha256": sha256, **place_fields(found),
        "attempts": 1, "failures": 0, "discovered_at": found.found_at,
        "processed_at": processed_at, "finished_at": None,
        **progress_fields(Position(), Counts()), "has_stale_rows": False,
        **path_fields("archived_to", None), "is_put_away": False, "config_hash": None,
        "error": None, "replaces": found.replaces, "owner": None,
    }  # fmt: skip


def as_claimed(found: FoundFile, entry: Document) -> ClaimedFile:
    """The file as the stages know it."""
    return ClaimedFile(
        file_id=entry["_id"], source_name=found.source_name,
        name=displayable(found.name), path=found.path, stat=found.stat,
        sha256=entry["sha256"], processed_at=entry["processed_at"],
        found_at=found.found_at, attempts=entry["attempts"], tries=tries(entry),
        manifest=found.manifest, replaces=entry.get("replaces"),
        name_in_source=entry.get("name_in_source") or displayable(found.name_in_source),
    )  # fmt: skip
