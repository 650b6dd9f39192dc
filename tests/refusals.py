"""What was refused, as tests read it."""

from typing import Any

import bson
import numpy as np
import polars as pl

from ingestd.records import ROW, Rejections, Violation


def reasons_by_row(violations: pl.DataFrame) -> dict[int, tuple[Violation, ...]]:
    """The rows of a chunk that are refused, each with its reasons."""
    reasons: dict[int, tuple[Violation, ...]] = {}
    for row, *fields in violations.select(ROW, *Violation._fields).iter_rows():
        reasons[row] = (*reasons.get(row, ()), Violation(*fields))
    return reasons


def errors_in(rejections: Rejections) -> list[dict[str, Any]]:
    """The error documents, one by one."""
    ends = np.frombuffer(rejections.ends, np.int64).tolist()
    assert len(rejections) == len(ends)
    assert len(rejections.documents) == (ends[-1] if ends else 0)
    return [
        bson.decode(rejections.documents[begin:end])
        for begin, end in zip([0, *ends], ends, strict=False)
    ]


def rejections_of(errors: list[dict[str, Any]]) -> Rejections:
    """Error documents as a worker gives them back."""
    encoded = [bson.encode(error) for error in errors]
    ends = np.cumsum([len(octets) for octets in encoded], dtype=np.int64)
    return Rejections(b"".join(encoded), ends.tobytes())
