"""Chunks refined as a worker does it, and what became of their rows."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from refusals import errors_in

from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.files import look
from ingestd.formats import csv
from ingestd.formats.limits import Limits
from ingestd.records import FileLayout, RefinedChunk
from ingestd.refine import Plan, refine

FILE_ID = "fedcba9876543210"


@dataclass(frozen=True)
class Laid:
    """A file, laid out, and the plan for its chunks."""

    layout: FileLayout
    plan: Plan

    def refined(self) -> list[RefinedChunk]:
        return [refine(self.plan, chunk) for chunk in self.layout.chunks]


def laid_out(
    path: Path, octets: bytes, source: SourceSpec, limits: Limits, key: tuple[str, ...] = ()
) -> Laid:
    """A file of this content, laid out."""
    path.write_bytes(octets)
    layout = csv.lay_out(path, look(path), source, limits)
    run = Run(FILE_ID, source.name, 1_700_000_000_000, key=key)
    return Laid(layout, Plan(pickle.dumps(source), layout.shape, run, limits))


def documents_of(chunks: list[RefinedChunk]) -> dict[int, dict[str, Any]]:
    """Documents by the row number in their ``_id``."""
    found = {}
    for chunk in chunks:
        for document in bson.decode_all(chunk.documents):
            identity = document.pop("_id").binary
            assert identity[:8].hex() == FILE_ID
            found[int.from_bytes(identity[8:], "big")] = document
    return found


def errors_of(chunks: list[RefinedChunk]) -> dict[int, dict[str, Any]]:
    return {error["row"]: error for chunk in chunks for error in errors_in(chunk.rejections)}


def rules_of(error: dict[str, Any]) -> tuple[str, ...]:
    return tuple(violation["rule"] for violation in error["violations"])


def timeless(chunk: RefinedChunk) -> tuple[list[dict[str, Any]], Any]:
    """A chunk's rejections without their time."""
    errors = errors_in(chunk.rejections)
    assert all(error.pop("error_time") for error in errors)
    return errors, chunk.rejections.rules
