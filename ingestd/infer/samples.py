"""The beginning and the end of a file as text, from which its layout is told."""

import os
from dataclasses import dataclass
from pathlib import Path

from ingestd.errors import FileRefused, FileUnavailable
from ingestd.infer.encodings import Encoding, EncodingScan

_SAMPLE_BYTES = 2**20
_END_BYTES = 2**16
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """The first and the last lines of a file; each ends with LF, whatever it ends with there."""

    path: Path
    encoding: Encoding
    record_end: str
    start: str
    end: str


def take_sample(path: Path, most_bytes: int) -> Sample:
    """Look at a file; its first ``most_bytes`` tell the encoding.

    Raises:
        FileRefused: it is empty.
        FileUnavailable: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_SAMPLE_BYTES)
            scan = EncodingScan(head)
            block, seen = head, 0
            while block and seen < most_bytes:
                scan.see(block)
                seen += len(block)
                block = stream.read(_BLOCK_BYTES)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _END_BYTES))
            tail = stream.read(_END_BYTES)
    except OSError as error:
        raise FileUnavailable(
            "unreadable_file", f"{path.name} cannot be read: {error.strerror}",
            "check its owner and mode",
        ) from error  # fmt: skip
    if not head.strip():
        raise FileRefused("empty_file", f"{path.name} is empty", "infer needs some rows")
    encoding = scan.result()
    start = head.decode(encoding.name, "replace").removeprefix("\ufeff")
    end = _decode_end(tail, encoding, is_cut=size > _END_BYTES)
    record_end = _record_end(start)
    if size > len(head):
        start = start[: start.rfind(record_end) + 1]
    return Sample(
        path, encoding, record_end, _with_lf(start, record_end), _with_lf(end, record_end)
    )


def _decode_end(tail: bytes, encoding: Encoding, *, is_cut: bool) -> str:
    """The last lines; a file that is longer than they are is cut somewhere in a line."""
    text = tail.decode(encoding.name, "replace")
    return text.partition("\n")[2] if is_cut else text


def _record_end(text: str) -> str:
    if "\n" in text:
        return "\n"
    return "\r" if "\r" in text else "\n"


def _with_lf(text: str, record_end: str) -> str:
    """Lines as Python's reader shall see them: CR ends none unless all lines end with it."""
    if record_end == "\n":
        return text.replace("\r\n", "\n").replace("\r", " ")
    return text.replace(record_end, "\n")
