"""What is in a file, as its format reads it: hashed and, where it is compressed, unpacked."""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ingestd.errors import FileRefused, FileUnavailable
from ingestd.formats.codecs import MAGIC_BYTES, Codec, codec_of, unpack
from ingestd.formats.limits import Limits, changed
from ingestd.records import Chunk, FileStat

_PACKED_BYTES = 2**16
"""Of a compressed file that are read at once."""

_ALWAYS_UNPACKED_BYTES = 2**26
"""So much may be in any file: short and very repetitive ones are common."""


class Content:
    """The content of an open file, in blocks of ``chunk_bytes`` from its beginning to its end."""

    def __init__(self, stream: io.FileIO, limits: Limits) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._codec = codec_of(os.pread(stream.fileno(), MAGIC_BYTES, 0))
        self._blocks = self._unpacked(self._codec, limits) if self._codec else self._plain(limits)
        self.is_at_end = False

    @property
    def is_packed(self) -> bool:
        """Whether what is read is something else than the bytes of the file."""
        return self._codec is not None

    @property
    def sha256(self) -> bytes:
        """The digest of the file itself, once it is at its end."""
        return self._digest.digest()

    def read(self) -> bytes:
        """The next block; nothing at the end.

        Raises:
            FileRefused: it is damaged, cut off or unpacks to more than it may.
        """
        block = next(self._blocks, b"")
        self.is_at_end = not block
        return block

    def _plain(self, limits: Limits) -> Iterator[bytes]:
        return iter(lambda: self._read_file(limits.chunk_bytes), b"")

    def _unpacked(self, codec: Codec, limits: Limits) -> Iterator[bytes]:
        pieces = unpack(codec, lambda: self._read_file(_PACKED_BYTES))
        file_bytes = os.fstat(self._stream.fileno()).st_size
        return _as_blocks(_bounded(pieces, file_bytes, limits), limits.chunk_bytes)

    def _read_file(self, size_bytes: int) -> bytes:
        octets = self._stream.read(size_bytes)
        self._digest.update(octets)
        return octets


def _bounded(pieces: Iterable[bytes], file_bytes: int, limits: Limits) -> Iterator[bytes]:
    """The pieces, until they are more than such a file may unpack to."""
    by_ratio = max(_ALWAYS_UNPACKED_BYTES, file_bytes * limits.max_unpack_ratio)
    most_bytes = min(by_ratio, limits.max_unpacked_bytes)
    setting = "max_unpack_ratio" if most_bytes == by_ratio else "max_unpacked_bytes"
    size_bytes = 0
    for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > most_bytes:
            raise FileRefused(
                "unpacks_to_too_much", f"{file_bytes} bytes unpack to more than {most_bytes}",
                f"if there is that much in it, raise refine.{setting}, and drop it again",
            )  # fmt: skip
        yield piece


def _as_blocks(pieces: Iterable[bytes], block_bytes: int) -> Iterator[bytes]:
    """The same bytes in blocks of that size, but for the last."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= block_bytes:
            yield bytes(held[:block_bytes])
            del held[:block_bytes]
    if held:
        yield bytes(held)


@contextmanager
def opened(path: Path, stat: FileStat, limits: Limits) -> Iterator[Content]:
    """The content of the file that was found, the same from beginning to end.

    Raises:
        FileUnavailable: it cannot be read, or changed since it was found.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            _require_unchanged(stream, path, stat)
            try:
                yield Content(stream, limits)
            except FileRefused:
                _require_unchanged(stream, path, stat)  # else it is about another content
                raise
            _require_unchanged(stream, path, stat)
    except OSError as error:
        raise _unreadable(path, error) from error


def fill(chunks: Sequence[Chunk], limits: Limits) -> Iterator[Chunk]:
    """Chunks of one file that follow each other, with their bytes: the file is unpacked again.

    Raises:
        FileUnavailable: it cannot be read, or changed since it was laid out.
    """
    with opened(chunks[0].path, chunks[0].stat, limits) as content:
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
            _require_unchanged(stream, chunk.path, chunk.stat)
    except OSError as error:
        raise _unreadable(chunk.path, error) from error
    return octets


def _require_unchanged(stream: io.FileIO, path: Path, stat: FileStat) -> None:
    if changed(os.fstat(stream.fileno()), stat):
        raise file_changed(path)


def file_changed(path: Path) -> FileUnavailable:
    """Somebody wrote to the file since it was found; it is looked at again later."""
    return FileUnavailable(
        "file_changed", f"{path.name} changed while it was read",
        "write under another name and rename when it is complete",
    )  # fmt: skip


def _unreadable(path: Path, error: OSError) -> FileUnavailable:
    return FileUnavailable(
        "unreadable_file", f"{path.name} cannot be read: {error.strerror}",
        "was it removed, or do its owner and mode forbid it?",
    )  # fmt: skip
