"""The beginning and the end of a file as text, from which its layout is told."""

from dataclasses import dataclass
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import opened
from ingestd.formats.limits import Limits
from ingestd.infer.encodings import Encoding, EncodingScan
from ingestd.records import FileStat

_SAMPLE_BYTES = 2**20
_END_BYTES = 2**16
_CSV = SourceSpec.model_validate({"name": "a", "file_pattern": "a", "schema": {"a": "string"}})


@dataclass(frozen=True, slots=True)
class Sample:
    """The first and the last lines of a file; each ends with LF, whatever it ends with there."""

    path: Path
    encoding: Encoding
    record_end: str
    start: str
    end: str


def take_sample(path: Path, stat: FileStat, most_bytes: int) -> Sample:
    """Look at a file, unpacked where it is compressed; ``most_bytes`` tell the encoding.

    Raises:
        FileRefused: it is empty, or a damaged archive.
        FileUnavailable: it cannot be read.
    """
    with opened(path, stat, _CSV, Limits(chunk_bytes=_SAMPLE_BYTES)) as content:
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
        start = start[: start.rfind(record_end) + 1]
    end = tail[-_END_BYTES:].decode(encoding.name, "replace")
    return Sample(
        path, encoding, record_end, _with_lf(start, record_end), _with_lf(end, record_end)
    )


def _record_end(text: str) -> str:
    if "\n" in text:
        return "\n"
    return "\r" if "\r" in text else "\n"


def _with_lf(text: str, record_end: str) -> str:
    """Lines as Python's reader shall see them: CR ends none unless all lines end with it."""
    if record_end == "\n":
        return text.replace("\r\n", "\n").replace("\r", " ")
    return text.replace(record_end, "\n")
