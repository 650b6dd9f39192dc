"""Ready-made BSON: what ingestd would send for some files, cut into batches as it would cut it."""

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ingestd.config.settings import LoadSettings
from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.files import look
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.refine import Plan, refine

Ends = npt.NDArray[np.int64]

_PROCESSED_AT_MS = 1_760_000_000_000


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """Where the bytes of all batches lie, one after the other."""

    path: str
    kind: str
    """insert or update"""
    collection: str
    documents: int
    ends: tuple[int, ...]
    """The byte at which each batch ends."""

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")


def load_ready_made(file: Path) -> ReadyMade:
    return ReadyMade(**json.loads(file.read_text(encoding="utf-8")))


def make_documents(source: SourceSpec, files: Sequence[Path], target: Path) -> ReadyMade:
    """Refine all files; the batches of a file fill the limits of the default settings."""
    documents, place, ends = 0, 0, list[int]()
    with target.open("wb") as stream:
        for number, file in enumerate(files):
            of_file = _refine_file(source, number, file, stream)
            documents += len(of_file)
            ends += [place + end for end in batch_ends(of_file, LoadSettings())]
            place = stream.tell()
    kind = "update" if source.load.mode == "upsert" else "insert"
    return ReadyMade(str(target), kind, source.name, documents, tuple(ends))


def _refine_file(source: SourceSpec, number: int, file: Path, stream: BinaryIO) -> Ends:
    """Write the documents of a file; the bytes, from the file's first, at which each ends."""
    limits = Limits()
    layout = FORMATS[source.format].lay_out(file, look(file), source, limits)
    key = source.load.key if source.load.mode == "upsert" else ()
    run = Run(f"{number + 1:016x}", source.name, _PROCESSED_AT_MS + number, key=key)
    plan = Plan(pickle.dumps(source), layout.shape, run, limits)
    begin, ends = stream.tell(), [np.empty(0, np.int64)]
    for chunk in layout.chunks:
        refined = refine(plan, chunk)
        ends.append(np.frombuffer(refined.ends, np.int64) + (stream.tell() - begin))
        stream.write(refined.documents)
    return np.concatenate(ends)


def batch_ends(ends: Ends, limits: LoadSettings) -> Iterator[int]:
    """Where batches end that hold as many whole documents as they may."""
    first, begin = 0, 0
    while first < ends.size:
        fitting = int(np.searchsorted(ends, begin + limits.batch_bytes, "right"))
        first = min(max(fitting, first + 1), first + limits.batch_rows)
        begin = int(ends[first - 1])
        yield begin
