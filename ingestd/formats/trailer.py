"""What the last record of a file tells, where it is no data."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingestd.config.naming import counted
from ingestd.config.source import TrailerField, TrailerSpec
from ingestd.errors import FileHeld

_ROWS = re.compile(r"[0-9]{1,18}")
TRAILER_HINT = "was the file cut off, or changed on the way? Ask the sender, and drop it again"
_SHOWN = 60
"""Characters of a record that an error shows."""


@dataclass(frozen=True, slots=True)
class Trailer:
    """A last record, as its format reads it."""

    record: str
    field: Callable[[TrailerField], str]
    """What stands in a field, without blanks around it; raises FileHeld when it is not there."""


def told_sum(trailer: Trailer, row_count: int, spec: TrailerSpec) -> str | None:
    """Check what the trailer says, but for the sum.

    Returns:
        what it says that a column adds up to, if it says so.

    Raises:
        FileHeld: it is missing, or says another number of rows.
    """
    if not trailer.record.startswith(spec.prefix):
        found = repr(trailer.record[:_SHOWN])
        message = f"the last record does not begin with {spec.prefix!r}: {found}"
        raise FileHeld("missing_trailer", message, TRAILER_HINT)
    if spec.count is not None:
        _check_count(trailer.field(spec.count), row_count, spec.count)
    return None if spec.sum is None else trailer.field(spec.sum.field)


def field_missing(field: TrailerField, found: str) -> FileHeld:
    """The trailer is too short."""
    message = f"the trailer has no field {_named(field)}: it has {found}"
    return FileHeld("bad_trailer", message, "see [trailer] of the source")


def _check_count(text: str, row_count: int, field: TrailerField) -> None:
    if not _ROWS.fullmatch(text):
        found = repr(text[:_SHOWN])
        message = f"field {_named(field)} of the trailer is {found}, no number of rows"
        raise FileHeld("bad_trailer", message, "does trailer.count name the right field?")
    if int(text) != row_count:
        message = f"the trailer says {counted(int(text), 'row')}, the file has {row_count:,}"
        raise FileHeld("trailer_mismatch", message, TRAILER_HINT)


def _named(field: TrailerField) -> str:
    return str(field) if isinstance(field, int) else str(list(field))
