"""The one table of what each error leads to. Nobody else decides."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestd.errors import (
    FileChanged,
    FileHeld,
    FileRefused,
    FileTaken,
    FileUnavailable,
    StoreRefused,
    WorkerLost,
)
from ingestd.mongo import Document
from ingestd.records import FileState


@dataclass(frozen=True, slots=True)
class Reaction:
    """What becomes of a file: the state it gets, and whether it is tried again by itself."""

    state: FileState | None
    """``None``: the file and its rows are left as they are; it is offered again later."""
    is_retried: bool
    error_type: str
    is_left: bool = False
    """It stays where it lies: what is there now is offered again, and is another file."""


_POLICY: Mapping[type[BaseException], Reaction] = {
    FileChanged: Reaction(
        FileState.UNDONE, is_retried=False, error_type="file_changed", is_left=True
    ),
    FileUnavailable: Reaction(FileState.FAILED, is_retried=True, error_type="unavailable"),
    FileHeld: Reaction(FileState.HELD, is_retried=False, error_type="held"),
    FileRefused: Reaction(FileState.FAILED, is_retried=False, error_type="refused"),
    FileTaken: Reaction(None, is_retried=True, error_type="taken"),
    WorkerLost: Reaction(FileState.FAILED, is_retried=False, error_type="worker_lost"),
    StoreRefused: Reaction(FileState.HELD, is_retried=False, error_type="store_refused"),
    Exception: Reaction(FileState.FAILED, is_retried=False, error_type="internal_error"),
}
"""First match wins. ``StoreAway`` is missing on purpose: ``mongo.py`` waits, nothing fails."""


def reaction_to(error: BaseException) -> Reaction:
    """What the error of a file leads to."""
    return next(reaction for kind, reaction in _POLICY.items() if isinstance(error, kind))


def cause_of(error: Exception) -> Exception:
    """The error itself, without the groups that task groups wrap around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def describe(error: BaseException) -> Document:
    """The error as the ledger, ``errors`` and ``.error.json`` tell it."""
    fallback = reaction_to(error).error_type
    is_ours = hasattr(error, "message")
    return {
        "type": getattr(error, "error_type", fallback),
        "message": getattr(error, "message", "") if is_ours else f"{type(error).__name__}: {error}",
        "hint": getattr(error, "hint", "") if is_ours else "this is a defect of ingestd: report it",
    }
