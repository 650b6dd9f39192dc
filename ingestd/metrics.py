"""Every metric of ingestd, declared once. Only ``events.py`` and gauges' owners move them.

Labels are bounded by the configuration: never a file name, never a value from a row.
"""

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from ingestd.records import FileState

_ENDS = (
    FileState.ARCHIVED, FileState.DUPLICATE, FileState.HELD, FileState.FAILED, FileState.UNDONE
)  # fmt: skip
_STAGE_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one daemon, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._declare_rows(self.registry)
        self._declare_files(self.registry)
        self._declare_stages(self.registry)
        self._declare_mongo(self.registry)
        self._declare_http(self.registry)
        self._declare_life(self.registry)

    def _declare_rows(self, of: CollectorRegistry) -> None:
        source = ("source_name",)
        self.processed_records = Counter(
            "processed_records", "Rows stored in MongoDB", source, registry=of
        )
        self.processing_errors = Counter(
            "processing_errors", "Rows refused, and files that failed", source, registry=of
        )
        self.filtered_records = Counter(
            "ingestd_filtered_records", "Rows removed by a filter step", source, registry=of
        )
        self.rejected_rows = Counter(
            "ingestd_rejected_rows", "Rows refused, by rule", (*source, "rule"), registry=of
        )
        self.read_bytes = Counter(
            "ingestd_read_bytes", "Bytes of files refined", source, registry=of
        )

    def _declare_files(self, of: CollectorRegistry) -> None:
        source = ("source_name",)
        self.files = Counter(
            "ingestd_files", "Files by the state they ended in", (*source, "state"), registry=of
        )
        self.drifted_files = Counter(
            "ingestd_drifted_files",
            "Files whose columns are not those of their source, by kind",
            (*source, "kind"),
            registry=of,
        )
        self.archive_failures = Counter(
            "ingestd_archive_failures", "Files loaded but not archived", source, registry=of
        )
        self.takeovers = Counter(
            "ingestd_takeovers", "Files taken over from a daemon that was not heard of", source,
            registry=of,
        )  # fmt: skip
        self.removed = Counter(
            "ingestd_removed", "Files and documents removed for their age", ("kind",), registry=of
        )
        self.actions = Counter(
            "ingestd_actions", "Actions of people on files that ended", (*source, "action"),
            registry=of,
        )  # fmt: skip
        self.files_in_flight = Gauge(
            "ingestd_files_in_flight", "Files claimed and not yet finished", source, registry=of
        )
        self.files_waiting = Gauge(
            "ingestd_files_waiting", "Files seen in an inbox and not yet taken", source, registry=of
        )
        self.files_blocked = Gauge(
            "ingestd_files_blocked", "Files that wait for a retry", source, registry=of
        )
        self.last_file_seconds = Gauge(
            "ingestd_last_file_timestamp_seconds",
            "When a file of the source was last loaded (Unix time)",
            source,
            registry=of,
        )
        self.overdue_after_seconds = Gauge(
            "ingestd_overdue_after_seconds",
            "Longest usual time between two files of the source, where the source says so",
            source,
            registry=of,
        )
        self.queryable_seconds = Histogram(
            "ingestd_queryable_seconds",
            "From finding a file until its rows can be queried",
            source,
            buckets=_STAGE_BUCKETS_S,
            registry=of,
        )

    def _declare_stages(self, of: CollectorRegistry) -> None:
        self.stage_seconds = Histogram(
            "ingestd_stage_seconds",
            "Time one unit of work spent in a stage",
            ("stage",),
            buckets=_STAGE_BUCKETS_S,
            registry=of,
        )
        self.queue_chunks = Gauge(
            "ingestd_queue_chunks", "Chunks waiting before a stage", ("stage",), registry=of
        )
        self.queue_bytes = Gauge(
            "ingestd_queue_bytes", "Bytes waiting before a stage", ("stage",), registry=of
        )

    def _declare_mongo(self, of: CollectorRegistry) -> None:
        self.mongo_command_seconds = Histogram(
            "ingestd_mongo_command_seconds",
            "Time of one command to MongoDB",
            ("command",),
            buckets=_STAGE_BUCKETS_S,
            registry=of,
        )
        self.mongo_retries = Counter(
            "ingestd_mongo_retries", "Commands sent again because MongoDB was away", registry=of
        )
        self.mongo_up = Gauge(
            "ingestd_mongo_up", "1 while MongoDB answers, 0 while it is away", registry=of
        )

    def _declare_http(self, of: CollectorRegistry) -> None:
        self.http_requests = Counter(
            "ingestd_http_requests", "HTTP answers", ("route", "status"), registry=of
        )
        self.http_seconds = Histogram(
            "ingestd_http_seconds", "Time of one HTTP answer", ("route",),
            buckets=_STAGE_BUCKETS_S, registry=of,
        )  # fmt: skip
        self.http_refused = Counter(
            "ingestd_http_refused",
            "Requests without a token that counts, and connections beyond api.max_connections",
            ("reason",),
            registry=of,
        )
        for reason in ("missing", "invalid", "expired", "full"):
            self.http_refused.labels(reason)

    def _declare_life(self, of: CollectorRegistry) -> None:
        self.worker_restarts = Counter(
            "ingestd_worker_restarts", "Worker processes replaced", ("reason",), registry=of
        )
        for reason in ("died", "hung", "memory"):
            self.worker_restarts.labels(reason)
        self.workers = Gauge("ingestd_workers", "Worker processes", registry=of)
        self.last_scan_seconds = Gauge(
            "ingestd_last_scan_timestamp_seconds",
            "When the inboxes were last looked through (Unix time)",
            registry=of,
        )
        self.progress_seconds = Gauge(
            "ingestd_last_progress_timestamp_seconds",
            "When a chunk or a file last moved on (Unix time)",
            registry=of,
        )
        self.build_info = Gauge("ingestd_build_info", "Version", ("version",), registry=of)

    def remove_source(self, source_name: str) -> None:
        """Nothing is expected of a source any more; what it has done stays counted."""
        for metric in (
            self.files_waiting, self.files_blocked, self.last_file_seconds,
            self.overdue_after_seconds,
        ):  # fmt: skip
            with suppress(KeyError):
                metric.remove(source_name)

    def add_source(self, source_name: str, overdue_after_s: float | None) -> None:
        """Make a source's series exist at 0, so that rates and alerts see its first event."""
        for metric in (
            self.processed_records, self.processing_errors, self.filtered_records,
            self.read_bytes, self.files_in_flight, self.files_waiting, self.files_blocked,
            self.last_file_seconds, self.archive_failures, self.takeovers,
        ):  # fmt: skip
            metric.labels(source_name)
        for state in _ENDS:
            self.files.labels(source_name, state.value)
        if overdue_after_s is not None:
            self.overdue_after_seconds.labels(source_name).set(overdue_after_s)
