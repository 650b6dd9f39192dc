"""``receipt``: what became of a file, as its sender may be told."""

from typing import Any

from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED
from ingestd.wayback.lookup import find_file

_MOST_REJECTIONS = 10_000

_COUNTS = ("record_count", "success_count", "error_count", "filtered_count")


async def receipt(desk: Desk, file: str) -> dict[str, Any]:
    """Name, digest, times and counts of a file, and of each refused row where and why.

    ``is_complete`` is false when more rows were refused than are listed.

    Raises:
        UnknownFile, ActionRefused: no file has that id, and not exactly one has that name.
    """
    entry = await find_file(desk, file)
    first = entry.get("duplicate_of")
    found = [] if first else await desk.rejects.first_of(entry["_id"], _MOST_REJECTIONS + 1)
    is_loaded = entry["state"] in COMMITTED
    return {
        "file_id": entry["_id"], "source_name": entry["source_name"], "file": entry["name"],
        "size_bytes": entry["size"], "sha256": entry["sha256"], "state": entry["state"],
        "is_loaded": is_loaded, "duplicate_of": first, "received_at": entry["discovered_at"],
        "loaded_at": entry["finished_at"] if is_loaded else None,
        **{name: entry[name] for name in _COUNTS},
        "rejections": [_rejection(error) for error in found[:_MOST_REJECTIONS]],
        "is_complete": len(found) <= _MOST_REJECTIONS,
    }  # fmt: skip


def _rejection(error: Document) -> dict[str, Any]:
    """Row 0 stands for the file as a whole."""
    reasons = error["violations"] or [
        {"column": None, "rule": error["error_type"], "message": error["error_message"]}
    ]
    place = {"row": error["row"], "line": error["line"], "state": error["state"]}
    return {**place, "reasons": reasons}
