"""Avro container files with unpacked blocks of moderate size (Avro 1.11, "Object Container Files").

The reader of Avro unpacks a block at once, into as much memory as its writer wants: a file of a
few hundred bytes may ask for any amount.
"""

import io
from collections.abc import Iterator, Mapping

from ingestd.errors import FileRefused
from ingestd.formats.codecs import CODECS, DEFLATE, Codec

MAGIC = b"Obj\x01"

_SYNC_BYTES = 16
_MAX_LONG_BYTES = 10
_MAX_BLOCK_BYTES = 2**26
_PIECE_BYTES = 2**18
_CODECS: Mapping[bytes, Codec] = {
    {"zstd": b"zstandard"}.get(codec.name, codec.name.encode()): codec
    for codec in (DEFLATE, *CODECS)
    if codec.name != "gzip"
}
"""What the reader of Avro unpacks beside these needs libraries of its own, and cannot explode."""


def plain_avro(stream: io.BufferedReader) -> Iterator[bytes]:
    """The same file with blocks that are not compressed.

    Raises:
        FileRefused: it is damaged, or a block is too large.
    """
    _read(stream, len(MAGIC))
    header = dict(_read_header(stream))
    sync = _read(stream, _SYNC_BYTES)
    codec = _CODECS.get(header.get(b"avro.codec", b"null"))
    if codec is not None:
        header[b"avro.codec"] = b"null"
    entries = b"".join(_sized(key) + _sized(value) for key, value in header.items())
    yield MAGIC + _long(len(header)) + entries + _long(0) + sync
    while stream.peek(1):
        count, packed = _read_long(stream), _read_sized(stream)
        block = packed if codec is None else b"".join(_unpacked(codec, packed))
        if count > len(block):
            raise _too_large(f"{count} records in {len(block)} bytes")
        yield _long(count) + _sized(block) + _read(stream, _SYNC_BYTES)


def _unpacked(codec: Codec, packed: bytes) -> Iterator[bytes]:
    """One member; some writers leave the end of a checksum behind it."""
    member, size_bytes = codec.member(), 0
    while not member.eof:
        if member.needs_input and not packed:
            raise damaged_avro("a block ends too early")
        piece, packed = member.decompress(packed, _PIECE_BYTES), b""
        size_bytes += len(piece)
        if size_bytes > _MAX_BLOCK_BYTES:
            raise _too_large(f"more than {_MAX_BLOCK_BYTES} bytes")
        yield piece


def _read_header(stream: io.BufferedReader) -> Iterator[tuple[bytes, bytes]]:
    """The metadata: maps come in runs of entries, until an empty one."""
    while count := _read_long(stream):
        if count < 0:
            _read_long(stream)  # so many bytes
        for _ in range(abs(count)):
            yield _read_sized(stream), _read_sized(stream)


def _read_sized(stream: io.BufferedReader) -> bytes:
    size_bytes = _read_long(stream)
    if size_bytes > _MAX_BLOCK_BYTES:
        raise _too_large(f"{size_bytes} bytes")
    return _read(stream, size_bytes)


def _read(stream: io.BufferedReader, size_bytes: int) -> bytes:
    octets = stream.read(size_bytes) if size_bytes >= 0 else b""
    if len(octets) != size_bytes:
        raise damaged_avro(f"expected {size_bytes} bytes, found {len(octets)}")
    return octets


def _read_long(stream: io.BufferedReader) -> int:
    """Seven bits in a byte, the lowest first; then every second number is negative."""
    number = 0
    for place in range(_MAX_LONG_BYTES):
        byte = _read(stream, 1)[0]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number >> 1 ^ -(number & 1)
    raise damaged_avro("a number is too long")


def _long(number: int) -> bytes:
    number <<= 1
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def _sized(octets: bytes) -> bytes:
    return _long(len(octets)) + octets


def damaged_avro(reason: str) -> FileRefused:
    """To be raised: no EOFError, which would only end the file."""
    return FileRefused(
        "damaged_avro", f"the Avro file cannot be read: {reason}",
        "was it complete when it was dropped? nothing of it is loaded; ask for it again",
    )  # fmt: skip


def _too_large(found: str) -> FileRefused:
    return FileRefused(
        "unpacks_to_too_much", f"a block of the Avro file has {found}",
        "ask for smaller blocks: a few megabytes are plenty",
    )  # fmt: skip
