"""What the endpoints are given by the daemon."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from ingestd.api.health import Check
from ingestd.config.settings import ApiSettings
from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.events import Events
from ingestd.mongo import Mongo
from ingestd.pipeline.desk import Desk

Columns = Mapping[str, ColumnSpec]


def _always() -> bool:
    return True


def _no_checks() -> Sequence[Check]:
    return ()


def _no_activity(_: str) -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Everything an endpoint may use. The callables answer from memory, at once.

    ``schemas`` holds the columns of each source as they are stored, after its transform.
    """

    settings: ApiSettings
    sources: Mapping[str, SourceSpec]
    schemas: Mapping[str, Columns]
    mongo: Mongo
    events: Events
    desk: Desk
    checks: Callable[[], Sequence[Check]] = field(default=_no_checks)
    is_ready: Callable[[], bool] = field(default=_always)
    is_alive: Callable[[], bool] = field(default=_always)
    activity: Callable[[str], Mapping[str, object]] = field(default=_no_activity)
    """Of a source: how many files wait, are in flight, …"""
    most_counted: int = 1000
    """Files of a source in one state: counting millions would take seconds, and mean little."""

    @property
    def time_limit_ms(self) -> int:
        """What MongoDB may spend on one query."""
        return max(1, int(self.settings.query_timeout * 1000))


CONTEXT = web.AppKey("context", ApiContext)
