"""One pass over an NDJSON file: its digest, and the cuts between its chunks."""

from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import opened
from ingestd.formats.limits import Limits
from ingestd.formats.lines import find_cuts
from ingestd.records import Chunk, FileLayout, FileStat, Position, Shape

_BOM = b"\xef\xbb\xbf"


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """See ``Format.lay_out``."""
    with opened(path, stat, source, limits) as content:
        block = content.read_start("NDJSON")
        start = Position(len(_BOM) if block.startswith(_BOM) else 0)
        block = block[start.offset_bytes :]
        _require_object(block)
        cuts = list(find_cuts(content, block, start))
    chunks = tuple(Chunk(path, stat, start, end) for start, end in cuts)
    shape = Shape(tuple(source.columns), suffix=".ndjson")
    return FileLayout(content.sha256, shape, chunks, content.is_packed)


def _require_object(block: bytes) -> None:
    """A file whose first character is another has no good row, and is not worth a million bad."""
    first = block.lstrip()[:1]
    if first not in (b"{", b""):
        hint = 'set format = "json"' if first == b"[" else "is it a file of another source?"
        raise FileRefused("wrong_format", "the file does not begin with a JSON object", hint)
