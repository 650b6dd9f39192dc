"""What can happen, one method each: it writes the log line and moves the metrics.

Stages call these and never touch a metric or a logger themselves. Every call is per
file, batch or chunk; none is per row.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from ingestd.metrics import Metrics
from ingestd.records import (
    ClaimedFile,
    Drift,
    FileResult,
    FileState,
    FoundFile,
    RefinedChunk,
    Rejections,
)

_FINISHED = {
    FileState.LOADED: "info",
    FileState.ARCHIVED: "info",
    FileState.DUPLICATE: "warning",
    FileState.HELD: "error",
    FileState.FAILED: "error",
}


@dataclass(frozen=True, slots=True)
class BlockedFile:
    """A file that waits for a retry, and why."""

    path: Path
    reason: str
    hint: str


class Events:
    """Tells the log and the metrics of one daemon what happened."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._log = structlog.get_logger("ingestd")
        self._blocked: dict[tuple[str, Path], BlockedFile] = {}
        self._drifts: dict[str, Drift] = {}
        """Of each source the drift that was told last."""
        self._progressed_at = time.monotonic()

    # files

    def file_claimed(self, file: ClaimedFile, resumed_row: int) -> None:
        self.metrics.files_in_flight.labels(file.source_name).inc()
        self.progressed()
        self._log.debug(
            "file claimed", source=file.source_name, file=file.name, file_id=file.file_id,
            attempt=file.attempts, resumed_row=resumed_row,
        )  # fmt: skip

    def last_loaded(self, source_name: str, moment: datetime) -> None:
        """At start: when the source's newest file was loaded, as the ledger knows it."""
        self.metrics.last_file_seconds.labels(source_name).set(moment.timestamp())

    def file_released(self, file: ClaimedFile) -> None:
        """The claimed file is no longer worked on, however it ended."""
        self.metrics.files_in_flight.labels(file.source_name).dec()

    def file_finished(self, result: FileResult) -> None:
        m, source = self.metrics, result.source_name
        m.files.labels(source, result.state.value).inc()
        if result.state in (FileState.LOADED, FileState.ARCHIVED):
            m.last_file_seconds.labels(source).set(time.time())
        if result.state is FileState.FAILED:
            m.processing_errors.labels(source).inc()
        if result.queryable_s is not None:
            m.queryable_seconds.labels(source).observe(result.queryable_s)
        fields: dict[str, object] = {
            "source": source, "file": result.name, "file_id": result.file_id,
            "state": result.state.value, "rows": result.counts.record_count,
            "loaded": result.counts.success_count, "rejected": result.counts.error_count,
            "filtered": result.counts.filtered_count,
        }  # fmt: skip
        if result.message:
            fields |= {"reason": result.message, "hint": result.hint}
        if result.queryable_s is not None:
            fields["queryable_s"] = round(result.queryable_s, 3)
        getattr(self._log, _FINISHED.get(result.state, "info"))("file finished", **fields)

    def columns_drifted(self, file: ClaimedFile, drift: Drift) -> None:
        """Told once of each file; a warning when it is not as with the file before."""
        for kind in drift.summary:
            self.metrics.drifted_files.labels(file.source_name, kind).inc()
        is_known = self._drifts.get(file.source_name) == drift
        self._drifts[file.source_name] = drift
        tell = self._log.info if is_known else self._log.warning
        tell(
            "columns differ from the source", source=file.source_name, file=file.name,
            file_id=file.file_id, **drift.summary,
        )  # fmt: skip

    def file_blocked(self, source_name: str, path: Path, reason: str, hint: str) -> None:
        self._block(source_name, path, reason, hint)
        self._log.warning(
            "file waits for a retry",
            source=source_name, file=_shown(path), reason=reason, hint=hint,
        )  # fmt: skip

    def _block(self, source_name: str, path: Path, reason: str, hint: str) -> None:
        self._blocked[source_name, path] = BlockedFile(path, reason, hint)
        self._count_blocked(source_name)

    def file_unblocked(self, source_name: str, path: Path) -> None:
        """The file ended, if it ever was blocked."""
        if self._blocked.pop((source_name, path), None) is not None:
            self._count_blocked(source_name)

    def file_vanished(self, path: Path) -> None:
        """Somebody took the file out of its inbox: nobody waits for it any more."""
        for source_name, blocked in list(self._blocked):
            if blocked == path:
                self.file_unblocked(source_name, path)

    def blocked_files(self, source_name: str) -> list[BlockedFile]:
        """The files of a source that wait for a retry, and why."""
        return [file for (name, _), file in self._blocked.items() if name == source_name]

    def _count_blocked(self, source_name: str) -> None:
        waiting = len(self.blocked_files(source_name))
        self.metrics.files_blocked.labels(source_name).set(waiting)

    def file_taken_over(self, file: ClaimedFile, owner: str) -> None:
        """Another daemon had it in hand, and its lease has ended."""
        self.metrics.takeovers.labels(file.source_name).inc()
        self._log.warning(
            "file taken over", source=file.source_name, file=file.name, file_id=file.file_id,
            attempt=file.attempts, owner=owner,
        )  # fmt: skip

    def file_lost(self, found: FoundFile) -> None:
        """This daemon had it in hand, and was not heard of for too long."""
        self._log.warning(
            "another daemon has taken over a file", source=found.source_name,
            file=_shown(found.path),
        )  # fmt: skip

    def archive_failed(self, file: ClaimedFile, reason: str, hint: str) -> None:
        self.metrics.archive_failures.labels(file.source_name).inc()
        self._log.error(
            "file loaded but not archived", source=file.source_name, file=file.name,
            file_id=file.file_id, reason=reason, hint=hint,
        )  # fmt: skip
        self._block(file.source_name, file.path, reason, hint)

    def file_gone(self, file: ClaimedFile, reason: str) -> None:
        self._log.warning(
            "file vanished before it was put away", source=file.source_name, file=file.name,
            file_id=file.file_id, reason=reason,
        )  # fmt: skip

    def source_refused(self, source_name: str, reason: str, hint: str) -> None:
        """MongoDB does not take what a source asks for, e.g. an index."""
        self._log.error("MongoDB refuses a source", source=source_name, reason=reason, hint=hint)

    def defect(self, file: ClaimedFile, error: Exception) -> None:
        self._log.error(
            "a defect of ingestd made a file fail", source=file.source_name, file=file.name,
            file_id=file.file_id, exc_info=error,
        )  # fmt: skip

    def recovered(self, document: Mapping[str, object], found: bool) -> None:
        """A file whose move was under way when the daemon died."""
        tell = self._log.info if found else self._log.error
        tell(
            "put away before the restart" if found else "a loaded file is gone",
            source=document["source_name"], file=document["name"], file_id=document["_id"],
        )  # fmt: skip

    def abandoned_left(self, error: Mapping[str, object]) -> None:
        """What a daemon that died has left cannot be finished now."""
        self._log.error(
            "what another daemon left cannot be finished now", reason=error["message"],
            hint=error["hint"],
        )  # fmt: skip

    # actions of people

    def action_done(self, action: str, document: Mapping[str, object]) -> None:
        """Something was done with a file that had ended; ``document`` is its ledger entry."""
        source_name = str(document["source_name"])
        self.metrics.actions.labels(source_name, action).inc()
        self._log.info(
            "action done", action=action, source=source_name, file=document["name"],
            file_id=document["_id"], state=document["state"],
        )  # fmt: skip

    def action_failed(
        self, action: str, document: Mapping[str, object], reason: str, hint: str
    ) -> None:  # fmt: skip
        self._log.error(
            "action cannot be finished", action=action, source=document["source_name"],
            file=document["name"], file_id=document["_id"], reason=reason, hint=hint,
        )  # fmt: skip

    def removed(self, kind: str, count: int) -> None:
        """A sweep is over: how much of that kind was older than it may be."""
        self.metrics.removed.labels(kind).inc(count)
        if count:
            self._log.info("removed for its age", kind=kind, count=count)

    def removal_failed(self, kind: str, path: Path, reason: str) -> None:
        self._log.warning("cannot be removed", kind=kind, file=_shown(path), reason=reason)

    # chunks and batches

    def chunk_refined(self, source_name: str, refined: RefinedChunk) -> None:
        m = self.metrics
        m.read_bytes.labels(source_name).inc(refined.chunk.size_bytes)
        m.stage_seconds.labels("refine").observe(refined.refine_s)

    def chunk_loaded(
        self, source_name: str, stored: int, filtered: int, rejections: Rejections
    ) -> None:
        """All of a chunk is durable: its documents and its rejections."""
        m = self.metrics
        m.processed_records.labels(source_name).inc(stored)
        m.filtered_records.labels(source_name).inc(filtered)
        m.processing_errors.labels(source_name).inc(len(rejections))
        for rule, count in rejections.rules.items():
            m.rejected_rows.labels(source_name, rule).inc(count)
        self.progressed()

    def stage_took(self, stage: str, seconds: float) -> None:
        self.metrics.stage_seconds.labels(stage).observe(seconds)

    def queue_changed(self, stage: str, chunks: int, size_bytes: int) -> None:
        self.metrics.queue_chunks.labels(stage).set(chunks)
        self.metrics.queue_bytes.labels(stage).set(size_bytes)

    # MongoDB

    def mongo_command(self, command: str, seconds: float) -> None:
        self.metrics.mongo_command_seconds.labels(command).observe(seconds)

    def mongo_retried(self) -> None:
        """A command is sent again because MongoDB was away."""
        self.metrics.mongo_retries.inc()

    def mongo_away(self, doing: str, reason: str, hint: str, delay_s: float) -> None:
        self.metrics.mongo_up.set(0)
        self._log.warning(
            "MongoDB is away, waiting", doing=doing, reason=reason, hint=hint,
            retry_in_s=round(delay_s, 2),
        )  # fmt: skip

    def mongo_back(self, doing: str, away_s: float) -> None:
        self.metrics.mongo_up.set(1)
        self._log.info("MongoDB is back", doing=doing, away_s=round(away_s, 2))

    def mongo_connected(self, server: str, version: str, is_embedded: bool) -> None:
        self.metrics.mongo_up.set(1)
        self._log.info("MongoDB connected", server=server, version=version, embedded=is_embedded)

    def mongod_started(self, path: str, port: int, seconds: float) -> None:
        self.metrics.mongo_up.set(1)
        self._log.info(
            "private MongoDB started", mongod=path, port=port, ready_in_s=round(seconds, 2),
            note="meant for trying out and tests; set mongo.uri for your own",
        )  # fmt: skip

    def mongod_died(self, code: int, reason: str) -> None:
        self.metrics.mongo_up.set(0)
        self._log.error(
            "private MongoDB died, starting it again", exit_code=code, reason=reason,
            hint="see mongod.log in paths.mongo",
        )  # fmt: skip

    # workers

    def worker_replaced(self, reason: str) -> None:
        self.metrics.worker_restarts.labels(reason).inc()
        self._log.warning("worker replaced", reason=reason)

    # watching

    def scanned(self, waiting: dict[str, int]) -> None:
        self.metrics.last_scan_seconds.set(time.time())
        for source_name, count in waiting.items():
            self.metrics.files_waiting.labels(source_name).set(count)

    def watch_trouble(self, place: str, reason: str) -> None:
        self._log.warning(
            "watching falls back to rescans", place=place, reason=reason,
            hint="if a limit is reached, raise fs.inotify.max_user_watches, one for each directory,"
            " or max_user_instances",
        )  # fmt: skip

    def inbox_missing(self, source_name: str, directory: Path) -> None:
        self._log.warning(
            "inbox is missing", source=source_name, directory=str(directory),
            hint="it is looked for at every rescan; make it, or mount it",
        )  # fmt: skip

    def path_ignored(self, source_name: str, path: Path, reason: str, hint: str) -> None:
        self._log.warning(
            "path left alone", source=source_name, file=_shown(path), reason=reason, hint=hint
        )

    def side_file_left(self, path: Path, reason: str) -> None:
        self._log.warning("side file stays where it is", file=_shown(path), reason=reason)

    # life

    def started(self, version: str, url: str, sources: list[str], workers: int) -> None:
        self.metrics.build_info.labels(version).set(1)
        self.metrics.workers.set(workers)
        self._log.info("ingestd started", version=version, url=url, sources=sources)

    def stopping(self, signal_name: str, drain_s: float) -> None:
        self._log.info("stopping", signal=signal_name, drain_s=drain_s)

    def stopped(self, is_clean: bool) -> None:
        self._log.info("ingestd stopped", clean=is_clean)

    def drain_cut_short(self, files: Sequence[str]) -> None:
        self._log.warning("stopped before these files ended; they go on at restart", files=files)

    def reloaded(self, sources: Sequence[str], needs_restart: Sequence[str]) -> None:
        """The configuration was read again: which sources changed, and what was not taken up."""
        tell = self._log.warning if needs_restart else self._log.info
        tell("configuration reloaded", changed_sources=sources, needs_restart=needs_restart)

    def reload_refused(self, mistakes: Sequence[str]) -> None:
        self._log.error(
            "configuration not reloaded: the old one stays", mistakes=mistakes,
            hint="mend it and reload again; `ingestd check` tells the same",
        )  # fmt: skip

    def progressed(self) -> None:
        """A chunk or a file moved on."""
        self._progressed_at = time.monotonic()
        self.metrics.progress_seconds.set(time.time())

    @property
    def progress_age_s(self) -> float:
        """Seconds since something last moved on."""
        return time.monotonic() - self._progressed_at

    # HTTP

    def http_answered(self, route: str, status: int, seconds: float) -> None:
        self.metrics.http_requests.labels(route, str(status)).inc()
        self.metrics.http_seconds.labels(route).observe(seconds)
        self._log.debug("request answered", route=route, status=status, seconds=round(seconds, 4))

    def access_refused(self, reason: str, address: str, times: int) -> None:
        """Told at the first, second, fourth, eighth … time: who guesses must not fill the log."""
        self.metrics.http_refused.labels(reason).inc()
        if times.bit_count() == 1:
            self._log.warning("token refused", reason=reason, address=address, times=times)

    def connection_refused(self) -> None:
        """One more than there may be."""
        self.metrics.http_refused.labels("full").inc()

    def certificate_renewed(self) -> None:
        self._log.info("certificate loaded again")

    def certificate_unusable(self, reason: str) -> None:
        self._log.error(
            "renewed certificate cannot be used", reason=reason, hint="the old one still serves"
        )

    def file_received(self, source_name: str, path: Path, size_bytes: int, by: str) -> None:
        self._log.info(
            "file received", source=source_name, file=_shown(path), bytes=size_bytes, by=by
        )

    def http_failed(self, route: str, request_id: str, error: BaseException) -> None:
        self._log.error("request failed", route=route, request_id=request_id, exc_info=error)

    def http_broken_off(self, route: str, request_id: str, reason: str) -> None:
        self._log.warning("answer broken off", route=route, request_id=request_id, reason=reason)


def naming_request(request_id: str) -> AbstractContextManager[None]:
    """Every line that is logged inside tells which request it belongs to."""
    return structlog.contextvars.bound_contextvars(request_id=request_id)


def _shown(path: Path) -> str:
    """A file name that every terminal and every encoding can show."""
    return repr(path.name)[1:-1]
