"""What was unpacked from archives that have gone since: nobody would ever load or remove it."""

import shutil
from functools import partial
from pathlib import Path

from ingestd.pipeline.desk import Desk
from ingestd.pipeline.errands import run_errand
from ingestd.pipeline.unpack import find_orphans, hide

_LEAST_AGE_S = 86_400.0
"""Time for somebody to move an archive out and back, or to mount the inbox again."""


async def remove_leftovers(desk: Desk, least_age_s: float = _LEAST_AGE_S) -> None:
    """Remove what no archive, no process and no open entry of the ledger needs any more.

    In that order: an archive that a process has just put away is in its hand until it has cleared
    what was unpacked, and none that is gone is taken in hand again.
    """
    unpacked, ledger = desk.settings.paths.unpacked, desk.ledger
    for source_name in desk.sources:
        directory = unpacked / source_name
        orphans = await run_errand(partial(find_orphans, directory, least_age_s))
        if not orphans or await ledger.archives.are_in_hand():
            continue
        needed = await ledger.unfinished_paths(source_name)
        left = [one for one in orphans if not any(path.is_relative_to(one) for path in needed)]
        desk.events.removed("unpacked", await run_errand(partial(_remove_all, desk, left)))


def _remove_all(desk: Desk, places: list[Path]) -> int:
    """Returns how many are gone; what cannot be removed now stays for another start."""
    count = 0
    for place in places:
        try:
            shutil.rmtree(hide(place))
            count += 1
        except FileNotFoundError:
            continue  # another daemon removes it at this moment
        except OSError as error:
            desk.events.removal_failed("unpacked", place, error.strerror or "")
    return count
