"""Files, laid out and read as the daemon does it; and a slow, plain reader to compare with."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ingestd.config.source import SourceSpec
from ingestd.files import look
from ingestd.formats import csv
from ingestd.formats.limits import Limits
from ingestd.formats.text import Text, ending_of
from ingestd.records import ROW, FileLayout

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a file: cells and lines by row, rules and raw bytes of the faulty rows."""

    rows: dict[int, Row]
    lines: dict[int, int]
    faults: dict[int, tuple[str, bytes]]
    raws: dict[int, bytes] = field(default_factory=dict, compare=False)

    @property
    def row_count(self) -> int:
        return len(self.lines)


def source_of(columns: list[str], **dialect: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "cells",
            "file_pattern": "*.csv",
            "schema": dict.fromkeys(columns, "string"),
            "csv": {"null_values": [], **dialect},
        }
    )


def outcome_of(path: Path, source: SourceSpec, limits: Limits) -> Outcome:
    """Lay the file out, check the cuts, and read every chunk."""
    layout = csv.lay_out(path, look(path), source, limits)
    check_cuts(path.read_bytes(), layout)
    outcome = Outcome({}, {}, {})
    for chunk in layout.chunks:
        _add(outcome, csv.read([chunk], layout.shape, source, limits))
    assert outcome.row_count == layout.row_count
    # nothing is left over but a footer that the source speaks of
    assert not layout.shape.footer or source.csv.skip_footer or source.trailer
    return outcome


def check_cuts(octets: bytes, layout: FileLayout) -> None:
    """The header and the chunks are the file, without gap or overlap, and no chunk is in vain."""
    assert layout.sha256 == hashlib.sha256(octets).digest()
    pieces = [octets[c.start.offset_bytes : c.end.offset_bytes] for c in layout.chunks]
    behind = b"" if layout.chunks[-1].footer_rows else layout.shape.footer
    whole = layout.shape.header + b"".join(pieces) + behind
    end_mark = re.search(rb"(?:(?<=[\r\n])\x1a+)?\Z", octets)
    assert end_mark
    assert octets in (whole, whole + end_mark[0])
    for piece, chunk in zip(pieces, layout.chunks, strict=True):
        assert chunk.row_count > 0
        lines = ending_of(layout.shape).line_ends(piece).size
        assert chunk.end.line - chunk.start.line == lines
    for before, after in zip(layout.chunks, layout.chunks[1:], strict=False):
        assert before.end == after.start


def _add(outcome: Outcome, text: Text) -> None:
    records = text.chunks[0].records
    first = records.chunk.start.row
    indexes = np.arange(records.chunk.row_count)
    edges = zip(records.starts.tolist(), records.bare_ends(indexes).tolist(), strict=True)
    raws = [records.octets[start:end] for start, end in edges]
    outcome.lines.update(enumerate(records.lines(indexes).tolist(), first))
    outcome.raws.update(enumerate(raws, first))
    for index, fault in text.faults.items():
        outcome.faults[first + index] = (fault.rule, raws[index])
    for *cells, index in text.frame.iter_rows():
        outcome.rows[first + index] = tuple(cells)
    assert text.frame.columns[-1] == ROW
    ignored = text.chunks[0].ignored
    assert text.frame.height + len(text.faults) + len(ignored) == len(indexes)
