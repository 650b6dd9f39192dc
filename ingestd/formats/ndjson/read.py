"""The records of NDJSON chunks as a frame of text, and what is wrong with the others.

Polars reads what is plain. Where anything is odd (a nested value, a long number, a key that
stands twice, a damaged line), Python reads exactly, an order of magnitude slower.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from ingestd.config.source import EXTRA, SourceSpec
from ingestd.formats.drift import safe_names, spellings
from ingestd.formats.limits import Limits
from ingestd.formats.lines import read_lines
from ingestd.formats.ndjson.exact import NotAnObject, first_keys, read_object, texts_of
from ingestd.formats.text import Text, TextChunk
from ingestd.records import ROW, Chunk, Shape, Violation

_LONG_NUMBER = b"0" * 16
"""Beyond 15 digits a float is not what was written."""
_DIGITS_TO_ZERO = bytes(48 if chr(byte) in "0123456789." else 32 for byte in range(256))

Faults = dict[int, Violation]


def read(
    chunks: Sequence[Chunk],
    shape: Shape,
    source: SourceSpec,
    limits: Limits,
) -> Text:
    """See ``Format.read``."""
    found = read_lines(chunks, limits, lambda _: {})
    frame = None
    if not any(chunk.faults for chunk in found):
        frame = _read_plain(b"".join(_with_end(chunk.records.octets) for chunk in found), source)
    if frame is None or frame.height != sum(chunk.row_count for chunk in chunks):
        frame = pl.concat([_read_exactly(chunk, source) for chunk in found])
        return Text(frame, found)
    return Text(frame.with_columns(pl.Series(ROW, np.arange(frame.height, dtype=np.uint32))), found)


def blank_row(source: SourceSpec) -> bytes:
    """See ``Format.blank_row``."""
    return json.dumps(dict.fromkeys(source.columns, "0")).encode() + b"\n"


def _with_end(octets: bytes) -> bytes:
    return octets if octets.endswith(b"\n") else octets + b"\n"


def _read_plain(octets: bytes, source: SourceSpec) -> pl.DataFrame | None:
    """The texts, if it is certain that they are what ``_read_exactly`` would make of them."""
    has_json = any(column.type == "json" for column in source.columns.values())
    if has_json or _is_odd(octets):
        return None
    known = spellings(source)
    others = [key for key in first_keys(octets) if key not in known]
    try:
        frame = pl.read_ndjson(octets, schema=dict.fromkeys([*known, *others], pl.String))
    except pl.exceptions.PolarsError:
        return None
    named = (
        pl.coalesce(name, *column.aliases).alias(name) for name, column in source.columns.items()
    )
    frame = frame.select(*named, *others)
    value_count = sum(column.len() - column.null_count() for column in frame)
    null_count = octets.count(b":null") + octets.count(b": null")
    # of a key that stands twice, and of one that the first line lacks, Polars drops a value
    if octets.count(b'":') != value_count + null_count:
        return None
    return frame.select(*source.columns)


def _is_odd(octets: bytes) -> bool:
    is_nested = b"[" in octets or octets.count(b"{") != octets.count(b"\n")
    has_surrogate = b"\\ud" in octets or b"\\uD" in octets
    return is_nested or has_surrogate or _LONG_NUMBER in octets.translate(_DIGITS_TO_ZERO)


def _read_exactly(chunk: TextChunk, source: SourceSpec) -> pl.DataFrame:
    """The texts of every record that can be read; why the others cannot is added to the faults."""
    names, rows = tuple(source.columns), list[list[Any]]()
    json_names = frozenset(name for name in names if source.columns[name].type == "json")
    named = _namer(source)
    for index in range(chunk.records.starts.size):
        if index in chunk.faults:
            continue
        try:
            values = named(read_object(chunk.records.raw(index)))
            rows.append([*texts_of(values, names, json_names), chunk.first + index])
        except NotAnObject as error:
            chunk.faults[index] = Violation(None, error.rule, None, str(error))
    schema = {**dict.fromkeys(names, pl.String()), ROW: pl.UInt32()}
    return pl.DataFrame(rows, schema, orient="row")


Values = dict[str, Any]


def _namer(source: SourceSpec) -> Callable[[Values], Values]:
    """From the values of a row by their keys to the same by their columns."""
    known = {key: name for key, name in spellings(source).items() if name in source.file_columns}
    is_rescuing = source.load.on_new_column == "rescue"

    def named(values: Values) -> Values:
        found: Values = {}
        for key, name in known.items():
            if key in values:
                if name in found:
                    message = f"two keys of the object mean the column {name!r}"
                    raise NotAnObject("duplicate_key", message)
                found[name] = values[key]
        if is_rescuing and (unknown := [key for key in values if key and key not in known]):
            found[EXTRA] = {safe: values[key] for key, safe in safe_names(unknown, ()).items()}
        return found

    return named
