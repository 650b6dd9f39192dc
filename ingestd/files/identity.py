"""Which file it is, and its name as text that any log, terminal or database can hold."""

import hashlib
import os

ID_BYTES = 8


def file_id(source_name: str, sha256: bytes) -> str:
    """16 hex characters that stand for this content in this source.

    The first 8 bytes of SHA-256(source name ‖ 0x00 ‖ SHA-256(content)); ``sha256`` is the
    digest of the content, 32 bytes.
    """
    digest = hashlib.sha256(source_name.encode() + b"\0" + sha256).digest()
    return digest[:ID_BYTES].hex()


def displayable(name: str | os.PathLike[str]) -> str:
    """The name with everything escaped that is not plain text: valid UTF-8, on one line.

    A byte that is not UTF-8 reads ``\\xff``, a newline ``\\n``, a text-direction override
    ``\\u202e``.
    """
    text = os.fspath(name)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    """Python's own escapes; bytes that Linux names hold beside UTF-8 come as lone surrogates."""
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
