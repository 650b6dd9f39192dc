"""Text encodings as Python knows them: one name for each, and what can be told of their bytes."""

import codecs
from functools import cache

_STRUCTURE = "\t\n\r 0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,;:|\"'+"
"""Each of them takes one code unit in a usable encoding; in UTF-7, a plus begins something else."""
_WITH_BOM = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
"""Encodings that leave something to a byte order mark, and what they are without one."""


def canonical_encoding(name: str) -> str:
    """Python's own name of the encoding, so that ``UTF8`` and ``utf-8`` are the same."""
    try:
        encoding = codecs.lookup(name).name
        unit = unit_bytes(encoding)
        is_regular = all(len(encode(letter, encoding)) == unit for letter in _STRUCTURE)
        is_regular &= len(encode(_STRUCTURE, encoding)) == unit * len(_STRUCTURE)
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError(_ALLOWED) from error
    if not is_regular:
        raise ValueError(_ALLOWED)
    return encoding


_ALLOWED = "allowed: text encodings of Python, such as utf-8, utf-16, cp1252, iso8859-15, shift_jis"


def without_bom(encoding: str) -> str:
    """The encoding of what follows a byte order mark, or of a file that has none."""
    return _WITH_BOM.get(encoding, encoding)


def encode(text: str, encoding: str) -> bytes:
    """The bytes of ``text`` inside a file, without a byte order mark."""
    return text.encode(without_bom(encoding))


@cache
def unit_bytes(encoding: str) -> int:
    """Bytes of a code unit: 2 in UTF-16, 4 in UTF-32, else 1."""
    return len(encode("0", encoding))


@cache
def is_transparent(encoding: str, structure: str) -> bool:
    """Whether these ASCII characters are their own bytes, which stand for nothing else, and text
    beyond ASCII is told by its bytes (in ISO 2022 it is by escape sequences)."""
    if encoding == "utf-8":
        return True
    is_own = encode(structure, encoding) == structure.encode()
    has_shifts = _letters(encoding).isascii() and _letters(encoding) != b""
    return is_own and not has_shifts and not bytes_in_letters(encoding) & {*structure.encode()}


@cache
def bytes_in_letters(encoding: str) -> frozenset[int]:
    """ASCII bytes that also occur inside characters beyond ASCII, as in Shift JIS."""
    return frozenset(byte for byte in _letters(encoding) if byte < 0x80)


@cache
def _letters(encoding: str) -> bytes:
    """All characters beyond ASCII that the encoding has, but for those beyond Unicode's plane 0."""
    return "".join(map(chr, range(0x80, 0xD800))).encode(encoding, "ignore")
