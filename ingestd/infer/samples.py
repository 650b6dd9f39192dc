"""The beginning and the end of a file as text, from which its layout is told."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingestd.errors import FileRefused
from ingestd.formats.content import opened
from ingestd.formats.limits import Limits
from ingestd.infer.encodings import Encoding, EncodingScan
from ingestd.infer.forms import TEXT
from ingestd.records import FileStat

Files = Sequence[tuple[Path, FileStat]]

_SAMPLE_BYTES = 2**20
_END_BYTES = 2**16
CR_CR_LF = "\r\r\n"


@dataclass(frozen=True, slots=True)
class Sample:
    """The first and the last lines of a file; each ends with LF, whatever it ends with there.

    Nothing is known of the last lines of a file of which only the first bytes were looked at.
    """

    path: Path
    encoding: Encoding
    record_end: str
    start: str
    end: str

    @property
    def is_cut_off(self) -> bool:
        """Whether the last line lacks its end, as where a transfer broke off."""
        return not self.end.endswith("\n")


def take_sample(path: Path, stat: FileStat, most_bytes: int) -> Sample:
    """Look at a file, unpacked where it is compressed; ``most_bytes`` tell the encoding.

    Raises:
        FileRefused: it is empty, or a damaged archive.
        FileUnavailable: it cannot be read.
    """
    with opened(path, stat, TEXT, Limits(chunk_bytes=_SAMPLE_BYTES)) as content:
        head = content.read()
        scan, block, seen, tail = EncodingScan(head), head, 0, b""
        while block and seen < most_bytes:
            scan.see(block)
            seen += len(block)
            tail = tail[-_END_BYTES:] + block
            block = content.read()
    if not head.strip():
        raise FileRefused("empty_file", f"{path.name} is empty", "infer needs some rows")
    encoding = scan.result()
    start = head.decode(encoding.name, "replace").removeprefix("\ufeff")
    record_end = _record_end(start)
    if seen > len(head):
        start = start[: start.rfind(record_end) + len(record_end)]
    end = "" if block else tail[-_END_BYTES:].decode(_without_mark(encoding.name, head), "replace")
    return Sample(
        path, encoding, record_end, _with_lf(start, record_end), _with_lf(end, record_end)
    )


def _without_mark(encoding: str, head: bytes) -> str:
    """The encoding of text from the middle of a file, which has no byte order mark."""
    if encoding not in ("utf-16", "utf-32"):
        return encoding
    return f"{encoding}-be" if head[:2] in (b"\xfe\xff", b"\0\0") else f"{encoding}-le"


def lines_of(text: str) -> list[str]:
    """The lines of a sample with their ends; nothing but LF is one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _record_end(text: str) -> str:
    """CR CR LF is what CRLF becomes when it is written as text once more."""
    if "\n" in text:
        return CR_CR_LF if text.count(CR_CR_LF) == text.count("\n") else "\n"
    return "\r" if "\r" in text else "\n"


def _with_lf(text: str, record_end: str) -> str:
    """Lines as Python's reader shall see them: CR ends none unless all lines end with it."""
    if record_end == "\n":
        text = text.replace("\r\n", "\n").removesuffix("\r")
        return text.replace("\r", " ")
    return text.replace(record_end, "\n")
