"""Compressed answers: ``Accept-Encoding`` chooses (RFC 9110, section 12.5.3)."""

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from ingestd.api.formats import read_qualities

_GZIP_LEVEL = 1
"""Rows repeat themselves: a higher level takes twice the time for a tenth of the bytes."""
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
LEAST_BYTES = 1024
"""A smaller body is not worth it."""


class Compressor(Protocol):
    """One compressed body, made piece by piece."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _gzip() -> Compressor:
    return zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)


CODINGS: dict[str, Callable[[], Compressor]] = {"gzip": _gzip}
"""Content codings, the one that is preferred first. zstd is there where it is installed."""

try:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdCompressor
    else:
        from backports.zstd import ZstdCompressor
    CODINGS = {"zstd": ZstdCompressor, **CODINGS}
except ImportError:
    pass


def choose_coding(accepted: str) -> str | None:
    """The coding of the answer; ``None``: as it is."""
    qualities: Mapping[str, float] = read_qualities(accepted)
    rest = qualities.get("*", 0.0)
    best = max(CODINGS, key=lambda name: qualities.get(name, rest))
    return best if qualities.get(best, rest) > 0 else None
