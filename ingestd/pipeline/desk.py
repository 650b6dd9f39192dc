"""What the stages that know whole files work with, and how they say that one has ended."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingestd.config.settings import RefineSettings, Settings
from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.events import Events
from ingestd.formats.drift import fitted
from ingestd.formats.limits import Limits
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.mongo import Document
from ingestd.pipeline.putaway import PutAway
from ingestd.records import ClaimedFile, Counts, FileLayout, FileResult, FileState
from ingestd.refine import Plan
from ingestd.rejects import Rejects, record_end
from ingestd.workers import Workers

Ended = tuple[FileResult | None, float | None]
"""A file's result, if it has one, and after how many seconds it is to be offered again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file ended; ``error`` says why, as the ledger tells it."""

    state: FileState
    counts: Counts = field(default_factory=Counts)
    error: Document | None = None
    moved_to: Path | None = None
    rejects_file: Path | None = None
    queryable_s: float | None = None


def limits_of(refine: RefineSettings) -> Limits:
    """How files are cut and unpacked."""
    return Limits(
        refine.chunk_bytes, refine.max_record_bytes,
        refine.max_unpacked_bytes, refine.max_unpack_ratio,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What every file of a source needs of it."""

    pickled: bytes
    """The source as workers take it."""
    config_hash: str


@dataclass(frozen=True, slots=True)
class Desk:
    """The stores, the workers and the rules, shared by all files."""

    sources: Mapping[str, SourceSpec]
    settings: Settings
    ledger: Ledger
    loader: Loader
    rejects: Rejects
    workers: Workers
    put_away: PutAway
    events: Events
    _rules: dict[str, Rules] = field(default_factory=dict, init=False)

    @property
    def limits(self) -> Limits:
        """How files are cut and unpacked."""
        return limits_of(self.settings.refine)

    def rules(self, source: SourceSpec) -> Rules:
        """The rules of a source, made ready once."""
        if source.name not in self._rules:
            self._rules[source.name] = Rules(pickle.dumps(source), source.config_hash)
        return self._rules[source.name]

    def forget_rules(self) -> None:
        """The sources have changed."""
        self._rules.clear()

    def plan(self, source: SourceSpec, file: ClaimedFile, layout: FileLayout) -> Plan:
        """What workers need to know of a file: its source, with the columns that it adds."""
        run = Run(
            file_id=file.file_id, source_name=source.name,
            processed_at_ms=round(file.processed_at.timestamp() * 1000),
            key=source.load.key if source.load.mode == "upsert" else (), file_name=file.name,
            record_end=record_end(layout.shape),
        )  # fmt: skip
        own = fitted(source, layout.drift)
        pickled = self.rules(source).pickled if own is source else pickle.dumps(own)
        return Plan(pickled, layout.shape, run, self.limits)

    def finished(self, file: ClaimedFile, outcome: Outcome) -> FileResult:
        """Tell that a file ended; nothing more happens to it in this attempt."""
        error = outcome.error or {"message": "", "hint": ""}
        result = FileResult(
            file.file_id, file.source_name, file.name, outcome.state, outcome.counts,
            message=error["message"], hint=error["hint"], moved_to=outcome.moved_to,
            rejects_file=outcome.rejects_file, queryable_s=outcome.queryable_s,
        )  # fmt: skip
        self.events.file_finished(result)
        return result
