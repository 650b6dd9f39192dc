"""Compressed files: known by their first bytes, unpacked as a stream.

A file may hold several members one after the other (``cat a.gz b.gz``), with zeros between them.
"""

import bz2
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ingestd.errors import FileRefused

MAGIC_BYTES = 10
"""So much of a file tells whether it is compressed, and how."""

_PIECE_BYTES = 2**18
_MEMORY_BITS = 27
"""What unpacking may take, 128 MiB: in xz and zstd the sender says how much it needs."""


class Decompressor(Protocol):
    """One member of a compressed file; the shape of Python's ``bz2`` and ``lzma``."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _DeflateMember:
    """``zlib`` in the shape of its sisters; ``frame_bits``: what stands around the data."""

    def __init__(self, frame_bits: int) -> None:
        self._inner = zlib.decompressobj(wbits=frame_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _xz_member() -> Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2**_MEMORY_BITS)


def _zstd_member() -> Decompressor:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415
        else:
            from backports import zstd  # noqa: PLC0415
    except ImportError as error:
        raise FileRefused(
            "missing_extra", "the file is zstd data, and what reads it is not installed",
            "pip install 'ingestd[zstd]', and drop the file again",
        ) from error  # fmt: skip
    window: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _MEMORY_BITS}
    return zstd.ZstdDecompressor(options=window)


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to compress: how its files begin, and what unpacks one member."""

    name: str
    magic: re.Pattern[bytes]
    member: Callable[[], Decompressor]


BZIP2 = Codec("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor)
CODECS = (
    Codec("gzip", re.compile(rb"\x1f\x8b\x08"), partial(_DeflateMember, 16 + zlib.MAX_WBITS)),
    BZIP2,
    Codec("xz", re.compile(rb"\xfd7zXZ\x00"), _xz_member),
    # a frame, or one that is to be skipped (RFC 8878, section 3.1)
    Codec("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstd_member),
)


DEFLATE = Codec("deflate", re.compile(rb""), partial(_DeflateMember, -zlib.MAX_WBITS))
"""Without a frame, as parts of other files are packed."""


def codec_of(start: bytes) -> Codec | None:
    """The codec of a file that begins so; ``None``: it is not compressed."""
    return next((codec for codec in CODECS if codec.magic.match(start)), None)


def unpack(codec: Codec, read: Callable[[], bytes]) -> Iterator[bytes]:
    """The content in small pieces. ``read`` gives the next bytes of the file, none at its end.

    Raises:
        FileRefused: damaged, cut off, or its reader is not installed.
    """
    packed = read()
    while packed:
        member = codec.member()
        while not member.eof:
            if member.needs_input and not packed:
                packed = read() or _refuse_cut_off(codec)
            yield _unpack_piece(codec, member, packed)
            packed = b""
        packed = _next_member(member.unused_data, read)


def _unpack_piece(codec: Codec, member: Decompressor, packed: bytes) -> bytes:
    try:
        return member.decompress(packed, _PIECE_BYTES)
    except Exception as error:
        raise FileRefused(
            "damaged_archive", f"the {codec.name} data of the file is damaged: {error}",
            "what was loaded of it is nothing; ask for it again",
        ) from error  # fmt: skip


def _refuse_cut_off(codec: Codec) -> bytes:
    raise FileRefused(
        "truncated_archive", f"the {codec.name} data of the file ends too early",
        "it was cut off on its way; ask for it again, and have it renamed when it is complete",
    )  # fmt: skip


def _next_member(rest: bytes, read: Callable[[], bytes]) -> bytes:
    """What follows a member and the zeros after it."""
    while rest := rest or read():
        if rest := rest.lstrip(b"\0"):
            break
    return rest
