"""Bytes to frames: one package or file per format, chosen by ``format`` of the source.

To add a format, write a module with the functions of ``Format`` and name it in ``FORMATS``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ingestd.config.source import SourceSpec
from ingestd.formats import csv, fixed, ndjson
from ingestd.formats.limits import Limits
from ingestd.formats.text import Text
from ingestd.records import Chunk, FileLayout, FileStat, Shape


class Format(Protocol):
    """How files of one format are cut into chunks, and chunks are read."""

    def lay_out(
        self, path: Path, stat: FileStat, source: SourceSpec, limits: Limits
    ) -> FileLayout:  # fmt: skip
        """Read the whole file once: digest, header, cuts. The cuts depend on nothing else.

        Raises:
            FileRefused: the file as a whole is no good.
            FileUnavailable: it cannot be read now, or changed meanwhile.
        """
        ...

    def read(
        self,
        chunks: Sequence[Chunk],
        shape: Shape,
        source: SourceSpec,
        limits: Limits,
    ) -> Text:
        """The records of chunks as one text, in a worker: of one chunk, or of one each of several
        small files, which have the same shape.

        Raises:
            FileUnavailable: the file changed since it was laid out.
        """
        ...

    def blank_row(self, source: SourceSpec) -> bytes:
        """A row that every column can be read from, to warm up with."""
        ...


FORMATS: Mapping[str, Format] = {
    "csv": csv,
    "tsv": csv,
    "fixed": fixed,
    "ndjson": ndjson,
    # what these hold is converted to NDJSON
    "json": ndjson,
    "parquet": ndjson,
    "excel": ndjson,
    "avro": ndjson,
}
