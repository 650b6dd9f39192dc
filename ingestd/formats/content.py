"""What is in a file, as its format reads it: unpacked where it is compressed, and text always."""

import errno
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from ingestd.causes import HINTS
from ingestd.config.source import SourceSpec
from ingestd.errors import FileChanged, FileRefused, FileUnavailable
from ingestd.formats import foreign, zips
from ingestd.formats.codecs import MAGIC_BYTES, codec_of, unpack
from ingestd.formats.convert import CONVERTERS, Converter
from ingestd.formats.limits import Limits, changed
from ingestd.formats.streams import as_stream
from ingestd.records import FileStat

_PACKED_BYTES = 2**16
"""Of a compressed file that are read at once."""

_ALWAYS_UNPACKED_BYTES = 2**25
"""So much may be in any file: short and very repetitive ones are common."""


class Content:
    """The content of an open file, in blocks of ``chunk_bytes`` from its beginning to its end.

    ``is_packed``: it is something else than the bytes of the file.
    """

    def __init__(self, stream: io.FileIO, source: SourceSpec, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._digest = hashlib.sha256()
        self._blocks: Iterator[bytes] = iter(lambda: self._read_file(limits.chunk_bytes), b"")
        self.is_packed = False
        self.is_at_end = False
        start = os.pread(stream.fileno(), MAGIC_BYTES, 0)
        if codec := codec_of(start):
            self._become(unpack(codec, lambda: self._read_file(_PACKED_BYTES)))
        elif start.startswith(zips.MAGIC) and self._is_packed_zip(source):
            self._become(zips.unzip(self.as_stream()))
        if convert := CONVERTERS.get(source.format):
            self._become(_convert(convert, self.as_stream(), source))

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

    def peek(self, size_bytes: int) -> bytes:
        """The beginning of what is still to be read: so many bytes, or more, or all there are."""
        ahead: list[bytes] = []
        while sum(map(len, ahead)) < size_bytes and (block := next(self._blocks, b"")):
            ahead.append(block)
        self._blocks = chain(ahead, self._blocks)
        return b"".join(ahead)

    def skip(self, size_bytes: int) -> None:
        """Go on behind so many bytes, which were seen already."""
        while size_bytes:
            block = next(self._blocks)
            rest = block[size_bytes:]
            size_bytes -= len(block) - len(rest)
            self._blocks = chain((rest,) if rest else (), self._blocks)

    def read_start(self, expected: str) -> bytes:
        """The first bytes of it, enough to tell that it may be what is expected.

        Raises:
            FileRefused: it is empty, or something else.
        """
        start = self.peek(foreign.MAGIC_BYTES)
        self.skip(len(start))
        foreign.refuse_others(start, expected)
        return start

    def _is_packed_zip(self, source: SourceSpec) -> bool:
        """Whether files are in the zip archive, and it is not a workbook for whoever wants one."""
        if source.format != "excel":
            return True
        is_archive = zips.is_archive(self._stream)
        self._stream.seek(0)
        return is_archive

    def _become(self, pieces: Iterator[bytes]) -> None:
        """From here on, these are the content."""
        file_bytes = os.fstat(self._stream.fileno()).st_size
        limited = bounded(pieces, file_bytes, self._limits)
        self._blocks = _as_blocks(limited, self._limits.chunk_bytes)
        self.is_packed = True

    def as_stream(self) -> io.BufferedReader:
        """The content so far; of a plain file one can seek in it, so that is hashed beforehand."""
        if self.is_packed:
            return as_stream(self._blocks)
        self._digest = hashlib.file_digest(self._stream, "sha256")
        self._stream.seek(0)
        return io.BufferedReader(io.FileIO(self._stream.fileno(), closefd=False))

    def _read_file(self, size_bytes: int) -> bytes:
        octets = self._stream.read(size_bytes)
        self._digest.update(octets)
        return octets


def _convert(convert: Converter, stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """NDJSON of the file; one that is NDJSON already, as rejects files are, stays as it is."""
    if not stream.peek(1):
        return
    if stream.peek(1)[:1] == b"{" and source.format != "json":
        yield from iter(partial(stream.read, _PACKED_BYTES), b"")
    else:
        yield from convert(stream, source)


def bounded(pieces: Iterable[bytes], file_bytes: int, limits: Limits) -> Iterator[bytes]:
    """The pieces, until they are more than a file of that size may unpack to.

    Raises:
        FileRefused: they are more.
    """
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
def opened(
    path: Path, stat: FileStat, source: SourceSpec, limits: Limits
) -> Iterator[Content]:  # fmt: skip
    """The content of the file that was found, the same from beginning to end.

    Raises:
        FileUnavailable: it cannot be read, or changed since it was found.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            require_unchanged(stream, path, stat)
            try:
                yield Content(stream, source, limits)
            except FileRefused:
                require_unchanged(stream, path, stat)  # else it is about another content
                raise
            require_unchanged(stream, path, stat)
    except OSError as error:
        raise unreadable(path, error) from error


def require_unchanged(stream: io.IOBase, path: Path, stat: FileStat) -> None:
    """Raises FileChanged when somebody wrote to the file since it was found."""
    if changed(os.fstat(stream.fileno()), stat):
        raise file_changed(path)


def file_changed(path: Path) -> FileChanged:
    """Somebody wrote to the file since it was found."""
    return FileChanged(
        "file_changed", f"{path.name} changed while it was read",
        "write under another name and rename when it is complete",
    )  # fmt: skip


def unreadable(path: Path, error: OSError) -> FileUnavailable:
    """The operating system says no; it is looked at again later."""
    if error.errno == errno.ENOENT:
        return FileChanged("file_removed", f"{path.name} was removed while it was read")
    return FileUnavailable(
        "unreadable_file", f"{path.name} cannot be read: {error.strerror}",
        HINTS.get(error.errno or 0, "do its owner and mode forbid it?"),
    )  # fmt: skip
