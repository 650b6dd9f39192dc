"""One pass over an NDJSON file: its digest, the cuts between its chunks, and its keys."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.content import opened
from ingestd.formats.drift import check_drift, drift_of, fitted, named_columns
from ingestd.formats.limits import Limits
from ingestd.formats.lines import find_cuts
from ingestd.formats.ndjson.keys import KeyScan
from ingestd.records import Chunk, Drift, FileLayout, FileStat, Position, Shape

_BOM = b"\xef\xbb\xbf"
_OBJECT_LINE = re.compile(rb"^[ \t]*\{", re.MULTILINE)
_JSON_HINT = 'set format = "json"'
_FORMATS_OF_KEYS = ("ndjson", "json")
"""In these every row names its own values; converted rows all have the same keys."""


def lay_out(path: Path, stat: FileStat, source: SourceSpec, limits: Limits) -> FileLayout:
    """See ``Format.lay_out``."""
    scan = KeyScan()
    with opened(path, stat, source, limits) as content:
        block = content.read_start("NDJSON")
        start = Position(len(_BOM) if block.startswith(_BOM) else 0)
        block = block[start.offset_bytes :]
        _require_objects(block, source)
        if source.format not in _FORMATS_OF_KEYS:
            scan.see(block.partition(b"\n")[0])
        see = scan.see if source.format in _FORMATS_OF_KEYS else None
        cuts = list(find_cuts(content, block, start, see))
    drift = _drift(scan.keys, source)
    chunks = tuple(Chunk(path, stat, start, end) for start, end in cuts)
    columns = tuple(name for name in fitted(source, drift).columns if name not in drift.missing)
    shape = Shape(columns, suffix=".ndjson")
    return FileLayout(content.sha256, shape, chunks, content.is_packed, drift)


def _drift(keys: Sequence[str], source: SourceSpec) -> Drift:
    """Where every row names its own values, none is missing, unless all are.

    Raises:
        FileDrifted: the source does not take it.
    """
    found = tuple(dict.fromkeys(named_columns(keys, source)))
    drift = drift_of(found, source)
    is_foreign = len(drift.missing) == len(source.file_columns)
    if not found or (source.format in _FORMATS_OF_KEYS and not is_foreign):
        drift = replace(drift, missing=(), renamed={})
    check_drift(drift, found, source)
    return drift


def _require_objects(block: bytes, source: SourceSpec) -> None:
    """A file of which no line is an object has no good row, and is not worth a million bad ones."""
    first = block.lstrip()
    if not first:
        return
    if source.format == "ndjson" and _runs_over_lines(first):
        message, hint = "the file is JSON that runs over several lines", _JSON_HINT
    elif not _OBJECT_LINE.search(block):
        is_array = source.format == "ndjson" and first[:1] == b"["
        message = "no line or element of the file is a JSON object"
        hint = _JSON_HINT if is_array else "is it a file of another source?"
    else:
        return
    raise FileRefused("wrong_format", message, hint)


def _runs_over_lines(text: bytes) -> bool:
    """Whether an array or an object begins on the first line, and goes on below it."""
    line = text.partition(b"\n")[0]
    if line[:1] == b"[":
        return not _is_json(line)
    return line[:1] == b"{" and not _is_json(line) and "\n" in _first_object(text)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _first_object(octets: bytes) -> str:
    """What the text begins with, if it is whole."""
    text = octets.decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return ""
    return text[:end]
