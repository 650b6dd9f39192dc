"""Is the daemon well? The checks of ``/health``, and the proof of progress for the watchdog."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingestd.api.health import Check
from ingestd.engine import Engine
from ingestd.pipeline import Pipeline
from ingestd.watch import NOBODY, PathProblem, Watcher

_STALE_SCANS = 10
"""Rescan intervals without a scan after which watching counts as stuck (at least 30 s)."""

_MOST_NAMED = 5
_SLOW_HINT = (
    "is its disk busy, is it locked for a backup, do all members of its replica set keep up?"
)


@dataclass(slots=True)
class Vitals:
    """Looks at the parts of one daemon; everything is answered from memory."""

    engine: Engine
    watcher: Watcher
    pipeline: Pipeline
    is_ready: bool = False
    """MongoDB was reached, and files are taken."""
    is_stopping: bool = False
    paused: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By source, who paused it, and when."""
    configuration_mistakes: tuple[str, ...] = ()
    """Why the configuration was not taken up when it was read again."""
    outdated: tuple[str, ...] = ()
    """Settings that are others in the configuration, and need a restart."""
    _started_at: float = field(default_factory=time.monotonic)

    def checks(self) -> Sequence[Check]:
        """One per dependency, one per source."""
        return [
            self._configuration(),
            self._mongodb(),
            self._workers(),
            self._watching(),
            self._progress(),
            self._lease(),
            *self._sources(),
        ]

    def accepts_requests(self) -> bool:
        """Ready: MongoDB answers and the daemon is not on its way out."""
        return self.is_ready and not self.is_stopping and self.engine.mongo.is_away_since is None

    def is_alive(self) -> bool:
        """Work moves on, or there is none, or MongoDB is what it waits for."""
        if self.engine.mongo.is_away_since is not None or not self.is_ready:
            return True
        return self._progress().is_ok and self._watching().is_ok

    def activity(self, source_name: str) -> Mapping[str, object]:
        """What a source has in hand at this moment."""
        in_flight = [job for job in self.pipeline.jobs if job.source.name == source_name]
        return {
            "paused": self.paused.get(source_name),
            "waiting": self.watcher.waiting().get(source_name, 0),
            "in_flight": [
                {
                    "file": job.file.name,
                    "file_id": job.file.file_id,
                    "rows_done": job.position.row,
                    "rows": job.layout.row_count,
                }
                for job in in_flight
            ],
        }

    def _configuration(self) -> Check:
        """Whatever stands there by now, the daemon works by one without mistakes."""
        notices = [f"not reloaded: {mistake}" for mistake in self.configuration_mistakes]
        notices += [f"{name} is changed, and needs a restart" for name in self.outdated]
        return Check("configuration", is_ok=True, notices=notices)

    def _mongodb(self) -> Check:
        settings = self.engine.settings.mongo
        is_private = settings.uri is None
        details = {"private": is_private, "database": settings.database}
        if is_private:
            details["note"] = "a private MongoDB, meant for trying out and tests; see mongo.uri"
        reason, hint = self._mongodb_trouble()
        return Check("mongodb", not reason, reason, hint, details)

    def _mongodb_trouble(self) -> tuple[str, str]:
        """What is wrong and since when, with a hint; empty when nothing is."""
        mongo = self.engine.mongo
        if (absence := mongo.absence) is not None:
            away_s = time.monotonic() - absence.since
            told = f"away for {away_s:.0f} s; files wait, none is lost: {absence.reason}"
            return told, absence.hint
        if (slow_since := mongo.slow_since) is not None:
            slow_s = time.monotonic() - slow_since
            return f"slow: a write has had no answer for {slow_s:.0f} s; files wait", _SLOW_HINT
        return ("", "") if self.is_ready else ("not reached yet", "")

    def _workers(self) -> Check:
        count = len(self.engine.workers.pids)
        details = {"running": count, "configured": self.engine.workers.count}
        is_ok = count > 0 or time.monotonic() - self._started_at < 30
        reason = "" if is_ok else "no worker runs"
        return Check("workers", is_ok, reason, details=details, notices=self._slow_chunks())

    def _slow_chunks(self) -> list[str]:
        """A worker that hangs is told long before it is given up."""
        slow_s, limit_s = self.engine.workers.slow_s, self.engine.settings.refine.chunk_timeout
        if not slow_s:
            return []
        names = ", ".join(repr(job.file.name) for job in self.pipeline.jobs[:_MOST_NAMED])
        return [
            f"a worker has been at one chunk for {slow_s:.0f} s, and is ended after {limit_s:g} s; "
            f"loading: {names} (is there a step in python that does not end?)"
        ]

    def _watching(self) -> Check:
        age_s = self.watcher.last_scan_age_s
        limit_s = max(30.0, _STALE_SCANS * self.engine.settings.watch.rescan_interval)
        is_starting = not self.is_ready or time.monotonic() - self._started_at < limit_s
        is_ok = is_starting or self.is_stopping or age_s < limit_s
        reason = "" if is_ok else f"the inboxes were not looked through for {age_s:.0f} s"
        strays = _told(self.watcher.problems().get(NOBODY, ()))
        return Check(
            "watching", is_ok, reason, "" if is_ok else "is a file system hanging?", notices=strays
        )

    def _progress(self) -> Check:
        settings = self.engine.settings
        limit_s = 2 * settings.refine.chunk_timeout + settings.mongo.write_timeout
        age_s = self.engine.events.progress_age_s if self.pipeline.jobs else 0.0
        is_ok = age_s < limit_s or self.engine.mongo.is_away_since is not None
        reason = "" if is_ok else f"no chunk was finished for {age_s:.0f} s"
        return Check("progress", is_ok, reason, details={"files": len(self.pipeline.jobs)})

    def _lease(self) -> Check:
        """Told, not judged: a lease that ends while MongoDB is away is no trouble of its own."""
        leases = self.engine.desk.ledger.leases
        return Check("lease", True, details={"owner": leases.me.name, "others": leases.others})

    def _sources(self) -> Iterator[Check]:
        problems = self.watcher.problems()
        for name in self.engine.sources:
            noted = problems.get(name, [])
            reasons = [p.message for p in noted if not p.is_notice]
            hints = [p.hint for p in noted if p.hint and not p.is_notice]
            for blocked in self.engine.events.blocked_files(name):
                reasons.append(f"{blocked.path.name!r} waits for a retry: {blocked.reason}")
                hints.append(blocked.hint)
            yield Check(
                f"source:{name}", not reasons, "; ".join(reasons[:10]),
                hints[0] if hints else "", self.activity(name),
                _told(p for p in noted if p.is_notice),
            )  # fmt: skip


def _told(notices: Iterable[PathProblem]) -> list[str]:
    return [f"{notice.message} ({notice.hint})" for notice in notices]
