"""Many documents as one: what lets a batch travel without a Python object per row."""

from collections.abc import Iterable, Iterator

import bson

from ingestd.mongo.rows import Document

_BATCH_BYTES = 4 * 2**20
_BATCH_DOCUMENTS = 1000


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


def batches(documents: Iterable[Document]) -> Iterator[bytes]:
    """Documents as concatenations of a size that MongoDB and the driver take."""
    batch: list[bytes] = []
    size_bytes = 0
    for document in documents:
        octets = bson.encode(document)
        if batch and (size_bytes + len(octets) > _BATCH_BYTES or len(batch) == _BATCH_DOCUMENTS):
            yield b"".join(batch)
            batch, size_bytes = [], 0
        batch.append(octets)
        size_bytes += len(octets)
    if batch:
        yield b"".join(batch)
