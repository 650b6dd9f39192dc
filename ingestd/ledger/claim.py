"""What travels to the ledger with a found file, and its answer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from ingestd.files import file_id
from ingestd.ledger.entry import as_claimed, as_counts, new_entry, now, path_in
from ingestd.mongo import Document
from ingestd.records import COMMITTED, ClaimedFile, Counts, FileState, FoundFile, Position

START = Position()


class Verdict(Enum):
    """What is to be done with a file that was found."""

    LOAD = "load"
    TRY = "try"
    """Its former rows are seen until it is certain that it loads: then it is claimed again."""
    PUT_AWAY = "put away"
    """It ended before, but a crash or a full disk kept it from leaving the inbox."""
    DUPLICATE = "duplicate"
    WAIT = "wait"
    """It failed for a reason that can pass, and its time has not come; or an action of a person
    is under way with it."""
    TAKEN = "taken"
    """Another process has it in hand, or had: then it is not there any more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's answer to a found file."""

    verdict: Verdict
    file: ClaimedFile
    start: Position = START
    """Where loading begins: everything before it is durable, and counted in ``counts``."""
    counts: Counts = field(default_factory=Counts)
    is_stale: bool = False
    """An earlier attempt may have left rows that this one must not find: they go first."""
    ignores_budget: bool = False
    """A person has decided that it loads however many of its rows are refused."""
    failures: int = 0
    wait_s: float = 0.0
    state: FileState = FileState.CLAIMED
    target: Path | None = None
    """Where a file that is put away was going."""
    error: Document | None = None
    taken_from: str = ""
    """Which other process had it in hand, and is not there any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A found file, what it holds, and the rules it is to be loaded by."""

    found: FoundFile
    sha256: bytes
    config_hash: str
    is_tried: bool = False
    """It would load: rows of its own may go for it."""

    @property
    def file_id(self) -> str:
        """The id it has in the ledger."""
        return file_id(self.found.source_name, self.sha256)

    def entry(self, processed_at: datetime) -> Document:
        """What the ledger is to know of it once it is claimed."""
        entry = new_entry(self.found, self.sha256.hex(), processed_at)
        state = {"state": FileState.CLAIMED.value, "config_hash": self.config_hash}
        return {"_id": self.file_id, **entry, **state}


def end_of(one: Wanted, known: Document) -> Claim | None:
    """What is to be done with a file that ended, unless it is to be loaded again."""
    found, state = one.found, FileState(known["state"])
    is_same_place = path_in(known, "path") == found.path
    is_leaving = is_same_place and not known["is_put_away"]
    is_committed = state in COMMITTED
    wait_s = _remaining_s(known)
    if is_same_place and wait_s > 0 and not is_committed:
        return waiting(found, known, wait_s, known["error"])
    if is_leaving and (is_committed or known["archived_to"]):
        return _put_away(found, known, state)
    if is_committed and not known.get("is_forgotten"):
        return Claim(Verdict.DUPLICATE, as_claimed(found, known), state=state)
    if is_committed and not one.is_tried:
        ignores_budget = found.ignores_budget or known.get("ignores_budget", False)
        return Claim(Verdict.TRY, as_claimed(found, known), ignores_budget=ignores_budget)
    return None


def _put_away(found: FoundFile, known: Document, state: FileState) -> Claim:
    return Claim(
        Verdict.PUT_AWAY, as_claimed(found, known), counts=as_counts(known), state=state,
        target=path_in(known, "archived_to"), error=known["error"],
    )  # fmt: skip


def _remaining_s(known: Document) -> float:
    """Until a file is to be tried again: at once when the clock was set back since it failed, as
    nobody knows how long ago that was."""
    retry_at, failed_at, at = known.get("retry_at"), known["finished_at"], now()
    if retry_at is None or at < failed_at:
        return 0.0
    seconds: float = (retry_at - at) / timedelta(seconds=1)
    return seconds


def waiting(found: FoundFile, known: Document, wait_s: float, error: Document) -> Claim:
    """Nothing is to be done yet, and why."""
    return Claim(Verdict.WAIT, as_claimed(found, known), wait_s=wait_s, error=error)
