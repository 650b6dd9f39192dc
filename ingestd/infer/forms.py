"""Which format a file has, by its content: people name files as they like."""

import json
import re
from pathlib import Path

from ingestd.config.source import FormatName, SourceSpec
from ingestd.formats.content import opened
from ingestd.formats.limits import Limits
from ingestd.formats.zips import is_workbook
from ingestd.records import FileStat

TEXT = SourceSpec.model_validate({"name": "a", "file_pattern": "a", "schema": {"a": "string"}})
"""A source to open files with, as they are but for their compression."""

_START_BYTES = 2**20
_OBJECT = re.compile(r'\{\s*(?:"|\}|$)')
_ARRAY = re.compile(r'\[\s*(?:[\[{"\]]|$)')


def format_of(path: Path, stat: FileStat) -> FormatName:
    """The format of a file, unpacked where it is compressed. Text that is no JSON is CSV.

    Raises:
        FileRefused: it is a damaged archive, or one of several files.
        FileUnavailable: it cannot be read.
    """
    if is_workbook(path):
        return "excel"
    with opened(path, stat, TEXT, Limits(chunk_bytes=_START_BYTES)) as content:
        start = content.peek(_START_BYTES)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"Obj\x01"):
        return "avro"
    return _format_of_text(start.decode("utf-8-sig", "replace").lstrip())


def _format_of_text(start: str) -> FormatName:
    if _ARRAY.match(start):
        return "json"
    if not _OBJECT.match(start):
        return "csv"
    line, _, below = start.partition("\n")
    is_one_line = not below.strip()
    is_json = not _is_object(line) or (is_one_line and _has_several_objects(line))
    return "json" if is_json else "ndjson"


def _is_object(line: str) -> bool:
    """Whether the line holds a whole object; a damaged one is as good, if it ends like one."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip().endswith("}")
    return True


def _has_several_objects(line: str) -> bool:
    """Whether another object follows the first."""
    try:
        _, end = json.JSONDecoder().raw_decode(line)
    except (ValueError, RecursionError):
        return False
    return line[end:].lstrip().startswith("{")
