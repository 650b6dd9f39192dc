"""The bytes of chunks: a range of a plain file, or what came to the worker with the chunk."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingestd.config.source import SourceSpec
from ingestd.formats.content import file_changed, opened, require_unchanged, unreadable
from ingestd.formats.limits import Limits
from ingestd.records import Chunk


def fill(chunks: Sequence[Chunk], source: SourceSpec, limits: Limits) -> Iterator[Chunk]:
    """Chunks of one file that follow each other, with their bytes: the file is read again.

    Raises:
        FileUnavailable: it cannot be read, or changed since it was laid out.
    """
    with opened(chunks[0].path, chunks[0].stat, source, limits) as content:
        held, offset_bytes = bytearray(), 0
        for chunk in chunks:
            while offset_bytes + len(held) < chunk.end.offset_bytes and (block := content.read()):
                held += block
                skipped = min(len(held), max(0, chunk.start.offset_bytes - offset_bytes))
                del held[:skipped]
                offset_bytes += skipped
            yield replace(chunk, octets=bytes(held[: chunk.size_bytes]))
            del held[: chunk.size_bytes]
            offset_bytes += chunk.size_bytes


def read_octets(chunk: Chunk) -> bytes:
    """The bytes of a chunk, in a worker: those that came with it, or of the plain file.

    Raises:
        FileUnavailable: the file cannot be read, or changed since it was laid out.
    """
    octets = _read_range(chunk) if chunk.octets is None else chunk.octets
    if len(octets) != chunk.size_bytes:
        raise file_changed(chunk.path)
    return octets


def _read_range(chunk: Chunk) -> bytes:
    try:
        with chunk.path.open("rb", buffering=0) as stream:
            octets = os.pread(stream.fileno(), chunk.size_bytes, chunk.start.offset_bytes)
            require_unchanged(stream, chunk.path, chunk.stat)
    except OSError as error:
        raise unreadable(chunk.path, error) from error
    return octets
