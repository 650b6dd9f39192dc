"""The ``_id`` of a row, and the range of all rows of a file."""

from typing import Any

from bson import ObjectId

Document = dict[str, Any]

_MOST_ROWS = 2**32 - 1


def row_id(file_id: str, row: int) -> ObjectId:
    """The ``_id`` of a row: 8 bytes of the file's identity, 4 of the row number from 1.

    Row 0 is the file itself: its failure in ``errors``.
    """
    return ObjectId(bytes.fromhex(file_id) + row.to_bytes(4, "big"))


def rows_of(file_id: str, first: int = 0, last: int = _MOST_ROWS) -> Document:
    """Matches the rows of a file, from ``first`` to ``last``: one range of the primary index."""
    return {"_id": {"$gte": row_id(file_id, first), "$lte": row_id(file_id, last)}}
