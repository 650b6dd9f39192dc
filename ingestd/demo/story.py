"""What becomes of each dropped file, as anybody can see it over HTTP."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestd.demo.child import ChildDaemon
from ingestd.demo.samples import PRICE_COUNT, Sample
from ingestd.records import COMMITTED, UNFINISHED, FileState

_LIMIT_S = 60.0
_POLL_S = 0.01


@dataclass(slots=True)
class Drop:
    """A dropped file. ``file`` is what ``/files`` says of it."""

    source_name: str
    name: str
    what: str
    sample: Sample | None = None
    """None for a file that somebody else dropped."""
    file: dict[str, Any] = field(default_factory=dict)
    queryable_s: float | None = None
    """From the renaming until ``/files`` says that its rows can be seen."""

    @property
    def state(self) -> str:
        return str(self.file.get("state", "dropped"))

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it; a loaded file is not archived yet."""
        return self.state not in ("dropped", *UNFINISHED, FileState.LOADED)

    @property
    def is_as_expected(self) -> bool:
        sample = self.sample
        return sample is None or (
            self.state == sample.state
            and self.file["success_count"] == sample.loaded
            and self.file["error_count"] == sample.refused
        )

    @property
    def reason(self) -> str:
        """Why it did not load."""
        return str((self.file.get("error") or {}).get("message", ""))


@dataclass(slots=True)
class Story:
    """Drops the samples one after the other; ``show`` is given all drops at each change."""

    daemon: ChildDaemon
    show: Callable[[Sequence[Drop]], None]
    drops: list[Drop] = field(default_factory=list)

    def drop_all(self, samples: Sequence[Sample]) -> None:
        """Each once the one before has ended."""
        for sample in samples:
            drop = Drop(sample.source_name, sample.name, sample.what, sample)
            self.drops.append(drop)
            self.show(self.drops)
            self._follow(drop, self.daemon.drop(sample))

    def _follow(self, drop: Drop, dropped_at: float) -> None:
        while not drop.has_ended and time.monotonic() - dropped_at < _LIMIT_S:
            time.sleep(_POLL_S)
            found = self.daemon.get(f"/files?source={drop.source_name}&name={drop.name}")
            if found and found[0] != drop.file:
                drop.file = found[0]
                if drop.queryable_s is None and drop.state in COMMITTED:
                    drop.queryable_s = time.monotonic() - dropped_at
                self.show(self.drops)

    def surprises(self) -> list[str]:
        """What did not turn out as it should have."""
        wrong = [
            f"{drop.name} is {drop.state} with {drop.file.get('success_count', 0)} rows"
            for drop in self.drops
            if not drop.is_as_expected
        ]
        prices = sum(len(run["data"]) for run in self.daemon.get("/data/prices?limit=10000"))
        if prices != PRICE_COUNT:
            wrong.append(f"{prices} prices are there instead of {PRICE_COUNT}")
        return wrong


class OtherDrops:
    """Files that somebody else drops."""

    def __init__(self, daemon: ChildDaemon) -> None:
        self._daemon = daemon
        self._known = {file["file_id"] for file in self._files()}

    def _files(self) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = self._daemon.get("/files?limit=100")
        return files

    def look(self) -> list[Drop]:
        """Those that came since the beginning, the newest last."""
        return [
            Drop(file["source_name"], file["name"], "yours", file=file)
            for file in reversed(self._files())
            if file["file_id"] not in self._known
        ]
