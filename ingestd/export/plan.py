"""What is to be made of the rows of one answer, and what is made of a batch of them."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pickle import PickleBuffer
from typing import Any, Protocol, SupportsIndex

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.export.columns import IDENTITY, RUN
from ingestd.export.json_text import Document

_OWN = {IDENTITY: ColumnSpec(type="objectid"), RUN: ColumnSpec(type="datetime")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. ``is_open``: also columns that only single files have, where that can be
    told; ``keeps_formulas``: texts stay as they are, whatever a spreadsheet makes of them;
    ``has_bom``: a byte order mark tells a spreadsheet that it is UTF-8; ``has_trailer``: the last
    line tells how many rows there are."""

    form: str
    columns: Mapping[str, ColumnSpec]
    is_open: bool = False
    keeps_formulas: bool = False
    has_bom: bool = False
    has_trailer: bool = False

    @property
    def all_columns(self) -> dict[str, ColumnSpec]:
        """With those that every row has, the first and the last."""
        return {IDENTITY: _OWN[IDENTITY], **self.columns, RUN: _OWN[RUN]}


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows in their form; ``runs`` are the runs that they belong to."""

    octets: bytes
    row_count: int
    runs: frozenset[datetime]

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """The rows may travel beside the pickle (PEP 574) instead of being copied."""
        offered = PickleBuffer if operator.index(protocol) >= 5 else bytes
        return Piece, (offered(self.octets), self.row_count, self.runs)


class Writer(Protocol):
    """Rows of one plan in one form, wherever it is done."""

    def from_frame(self, frame: pl.DataFrame) -> bytes:
        """Rows as they were read column by column."""

    def from_documents(self, documents: list[Document]) -> bytes:
        """Rows that were decoded one by one.

        Raises:
            ExportRefused: the form has no place for a value.
        """


class Assembler:
    """The pieces of one answer as one file: here, one after the other."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def begin(self) -> bytes:
        """What stands above the rows."""
        return b""

    def add(self, piece: bytes) -> bytes:
        """What can be sent now that this piece is there."""
        return piece

    def end(self, row_count: int) -> bytes:
        """What stands below so many rows."""
        return b""
