"""The rows of files that are JSON, or are converted to it, and what they say of each column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestd.config.source import EXTRA, ColumnSpec, FormatName, SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats import FORMATS
from ingestd.formats.content import opened
from ingestd.formats.convert import DECLARATIONS
from ingestd.formats.limits import Limits
from ingestd.formats.lines import read_lines
from ingestd.formats.ndjson.exact import NotAnObject, read_object, require_characters
from ingestd.formats.octets import fill
from ingestd.infer.forms import TEXT
from ingestd.infer.keys import Key, columns_of
from ingestd.infer.names import storable_names
from ingestd.infer.rows import Extent, Reading
from ingestd.infer.samples import Files
from ingestd.infer.told import Findings
from ingestd.infer.workbooks import Table, find_table
from ingestd.records import Chunk, Violation

_MOST_KEYS = 1000

_FORMATS_OF_KEYS = ("ndjson", "json")
"""In these a row has the keys that it wants."""

_NO_TABLE = Table(options={}, names=())

Declared = Mapping[str, ColumnSpec]


def find_objects(name: str, format_name: FormatName, files: Files, extent: Extent) -> Findings:
    """What files of a format other than CSV tell.

    Raises:
        FileRefused, FileUnavailable: one of them cannot be read.
    """
    readings = tuple(Reading(path, stat) for path, stat in files)
    table = find_table(files[0][0], extent.sheet) if format_name == "excel" else _NO_TABLE
    source = _sample_source(format_name, table)
    objects = Objects(source, _declared_by_all(readings, format_name), extent)
    found = [objects.read(reading) for reading in readings]
    shared = frozenset(objects.keys).intersection(*found)
    is_free = format_name in _FORMATS_OF_KEYS
    left_out = tuple(key for key in objects.keys if key not in shared and not is_free)
    keys = {key: seen for key, seen in objects.keys.items() if key not in left_out}
    names = storable_names([*keys])
    columns = columns_of(dict(zip(names, keys.values(), strict=True)))
    aliases = {name: key for name, key in zip(names, keys, strict=True) if name != key}
    return Findings(name, format_name, readings, columns, aliases, left_out, table.options)


def _sample_source(format_name: FormatName, table: Table) -> SourceSpec:
    """One that takes whatever columns there are."""
    columns = {
        column: {"type": "string", "aliases": [name]}
        for column, name in zip(storable_names(table.names), table.names, strict=True)
    }
    return SourceSpec.model_validate(
        {
            "name": "sample", "file_pattern": "sample", "format": format_name,
            "csv": {"ragged": "rescue"}, "schema": columns | {EXTRA: "json"},
            "load": {"on_missing_column": "null"},
            **({format_name: table.options} if table.options else {}),
        }
    )  # fmt: skip


def _declared_by_all(readings: Sequence[Reading], format_name: FormatName) -> Declared:
    """What the files say alike of their columns, if their format has a place for that."""
    first, *others = (_declared(reading, format_name) for reading in readings)
    return {
        name: spec for name, spec in first.items()
        if all(other.get(name) == spec for other in others)
    }  # fmt: skip


def _declared(reading: Reading, format_name: FormatName) -> Declared:
    declaration = DECLARATIONS.get(format_name)
    if declaration is None:
        return {}
    with opened(reading.path, reading.stat, TEXT, Limits()) as content:
        return declaration(content.as_stream())


@dataclass(slots=True)
class Objects:
    """The keys of all files that were read, in the order in which they were met."""

    source: SourceSpec
    declared: Declared
    extent: Extent
    keys: dict[str, Key] = field(default_factory=dict)
    rows: int = 0

    def read(self, reading: Reading) -> frozenset[str]:
        """Read a file chunk by chunk, and let the keys see their values.

        Returns:
            the keys that the file has.

        Raises:
            FileRefused, FileUnavailable: it cannot be read, or not one row of it.
        """
        source, limits, found = self.source, Limits(), set[str]()
        layout = FORMATS[source.format].lay_out(reading.path, reading.stat, source, limits)
        chunks = fill(layout.chunks, source, limits) if layout.is_packed else layout.chunks
        for chunk in chunks:
            found |= self._see(_read_chunk(chunk, reading, limits))
            if self.extent.is_reached(reading):
                reading.is_whole = chunk.end == layout.chunks[-1].end
                break
        if not found:
            _refuse_rows(reading)
        if reading.is_whole and layout.is_packed:
            reading.read_bytes = reading.stat.size_bytes  # not of what it is converted to
        return frozenset(found)

    def _see(self, rows: Sequence[Mapping[str, Any]]) -> set[str]:
        found = {name: None for row in rows for name in row if name}
        for name in found:
            if name not in self.keys:
                self.keys[name] = Key(name, self.declared.get(name), self.rows)
        if len(self.keys) > _MOST_KEYS:
            raise FileRefused(
                "too_many_keys", f"the objects have more than {_MOST_KEYS} different keys",
                "are the keys values themselves? Such a file has to be brought into another form",
            )  # fmt: skip
        for name, key in self.keys.items():
            key.see([row.get(name) for row in rows])
        self.rows += len(rows)
        return set(found)


def _read_chunk(chunk: Chunk, reading: Reading, limits: Limits) -> list[dict[str, Any]]:
    """The objects of a chunk; those that cannot be read are faults of the reading."""
    (lines,) = read_lines([chunk], limits, lambda _: {})
    rows, faults = [], {}
    for index in range(chunk.row_count):
        try:
            rows.append(_read_row(lines.records.raw(index)))
        except NotAnObject as error:
            faults[index] = Violation(None, error.rule, None, str(error))
    reading.add(chunk, faults)
    return rows


def _read_row(line: bytes) -> dict[str, Any]:
    values = read_object(line)
    if b"\\u" in line:
        require_characters(values)
    return values


def _refuse_rows(reading: Reading) -> None:
    message = next((fault.message for fault in reading.first_faults.values()), "all are empty")
    raise FileRefused(
        "no_rows", f"{reading.path.name} has no row that can be read: {message}",
        "rows have to be JSON objects",
    )  # fmt: skip
