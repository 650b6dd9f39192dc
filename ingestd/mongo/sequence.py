"""Many documents as one: what lets a batch travel without a Python object per row."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

_BATCH_BYTES = 4 * 2**20
_BATCH_DOCUMENTS = 10_000


class DocumentSequence:
    """Concatenated BSON documents that the driver sends as they are, as one raw document.

    OP_MSG (MongoDB wire protocol, section kind 1) carries the documents of an insert one after
    the other, so the concatenation *is* the wire format. The driver copies ``raw`` of anything
    whose ``_type_marker`` is that of ``RawBSONDocument`` (101); ``Mongo.connect`` proves at
    start-up that it still does. The driver measures the whole as if it were one document: more
    than 16 MiB is refused.
    """

    _type_marker = 101

    def __init__(self, raw: bytes | memoryview) -> None:
        self.raw = raw


def batches(documents: bytes, ends: Sequence[int]) -> Iterator[memoryview]:
    """Neighbouring documents, as many at a time as MongoDB and the driver take."""
    octets, first, begin = memoryview(documents), 0, 0
    while first < len(ends):
        fitting = bisect_right(ends, begin + _BATCH_BYTES)
        first = min(max(fitting, first + 1), first + _BATCH_DOCUMENTS)
        yield octets[begin : ends[first - 1]]
        begin = ends[first - 1]
