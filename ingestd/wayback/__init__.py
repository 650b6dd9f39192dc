"""The way back: what people do with files that have ended.

Each action is a function of the desk, a file (its id, or its name) and who asks. It returns the
file's ledger entry, may be repeated, and finishes what a crash cut off. What cannot be done raises
``ActionRefused`` and changes nothing.
"""

from collections.abc import Mapping

from ingestd.errors import IngestdError
from ingestd.ledger import Action
from ingestd.pipeline.desk import Desk
from ingestd.wayback.audit import Audit, audit
from ingestd.wayback.dismiss import dismiss, finish_dismiss
from ingestd.wayback.forget import forget
from ingestd.wayback.hand import Finish
from ingestd.wayback.receipt import receipt
from ingestd.wayback.replace import (
    Replacement,
    begin_replace,
    note_replacement,
    require_replaceable,
)
from ingestd.wayback.replay import finish_replay, refused_files, replay
from ingestd.wayback.retry import finish_retry, retry
from ingestd.wayback.undo import finish_undo, undo

__all__ = [
    "Audit",
    "Replacement",
    "audit",
    "begin_replace",
    "dismiss",
    "finish_actions",
    "forget",
    "note_replacement",
    "receipt",
    "refused_files",
    "replay",
    "require_replaceable",
    "retry",
    "undo",
]

_FINISH: Mapping[str, Finish] = {
    Action.DISMISS: finish_dismiss,
    Action.REPLAY: finish_replay,
    Action.RETRY: finish_retry,
    Action.UNDO: finish_undo,
}
"""How each action that takes several steps goes on once it is begun; each may be repeated."""


async def finish_actions(desk: Desk) -> None:
    """Finish what a crash cut off. One that cannot be finished is told, and keeps no other."""
    async for entry in desk.ledger.actions.cut_off(list(desk.sources)):
        action = entry["doing"]["action"]
        try:
            await _FINISH[action](desk, entry)
        except IngestdError as error:
            desk.events.action_failed(action, entry, error.message, error.hint)
