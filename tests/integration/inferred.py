"""What is inferred from sample files, and what the daemon would refuse of them."""

import pickle
from pathlib import Path
from typing import Any

from refusals import errors_in

from ingestd.config.source import SourceSpec
from ingestd.documents import Run, decoded
from ingestd.files import look
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.infer import Inferred, Wanted, infer
from ingestd.records import RefinedChunk
from ingestd.refine import Plan, refine


def inferred_from(*paths: Path, **wanted: Any) -> Inferred:
    return infer([(path, look(path)) for path in paths], Wanted(**wanted))


def rejections_of(path: Path, source: SourceSpec) -> list[dict[str, Any]]:
    """Of all rows, as the daemon would refuse them."""
    return [error for chunk in refined(path, source) for error in errors_in(chunk.rejections)]


def documents_of(path: Path, source: SourceSpec) -> list[dict[str, Any]]:
    """Of all rows, as the daemon would store them."""
    return [one for chunk in refined(path, source) for one in decoded(chunk.documents)]


def refined(path: Path, source: SourceSpec) -> list[RefinedChunk]:
    limits = Limits()
    layout = FORMATS[source.format].lay_out(path, look(path), source, limits)
    plan = Plan(pickle.dumps(source), layout.shape, Run("00" * 8, source.name, 0), limits)
    chunks = fill(layout.chunks, source, limits) if layout.is_packed else layout.chunks
    return [refine(plan, chunk) for chunk in chunks]
