"""One pass over an NDJSON file: its digest, and the cuts between its chunks."""

from dataclasses import replace
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import opened
from ingestd.formats.drift import check_drift, drift_of, fitted, named_columns
from ingestd.formats.limits import Limits
from ingestd.formats.lines import find_cuts
from ingestd.formats.ndjson.exact import first_keys
from ingestd.records import Chunk, Drift, FileLayout, FileStat, Position, Shape

_BOM = b"\xef\xbb\xbf"
_HINTS = {b"[": 'set format = "json"'}


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """See ``Format.lay_out``."""
    with opened(path, stat, source, limits) as content:
        block = content.read_start("NDJSON")
        start = Position(len(_BOM) if block.startswith(_BOM) else 0)
        block = block[start.offset_bytes :]
        _require_object(block, source)
        drift = _drift(block, source)
        cuts = list(find_cuts(content, block, start))
    chunks = tuple(Chunk(path, stat, start, end) for start, end in cuts)
    columns = tuple(name for name in fitted(source, drift).columns if name not in drift.missing)
    shape = Shape(columns, suffix=".ndjson")
    return FileLayout(content.sha256, shape, chunks, content.is_packed, drift)


def _drift(block: bytes, source: SourceSpec) -> Drift:
    """That of the first row. Where every row names its own values, none of them is missing.

    Raises:
        FileDrifted: the source does not take it.
    """
    found = named_columns(first_keys(block.lstrip()), source)
    drift = drift_of(found, source)
    if source.format in ("ndjson", "json") or not found:
        drift = replace(drift, missing=(), renamed={})
    check_drift(drift, found, source)
    return drift


def _require_object(block: bytes, source: SourceSpec) -> None:
    """A file whose first character is another has no good row, and is not worth a million bad."""
    first = block.lstrip()[:1]
    if first not in (b"{", b""):
        message, hint = "the file does not begin with a JSON object", _HINTS.get(first, "")
        if source.format == "json":
            message, hint = "the first element of the array is no object", "rows have to be objects"
        raise FileRefused("wrong_format", message, hint or "is it a file of another source?")
