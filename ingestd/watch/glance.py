"""Looking at single paths that a wake-up named: fast, and allowed to know too little."""

import os
import stat
from collections.abc import Iterable

from ingestd.files import stat_of
from ingestd.watch.findings import Findings, Outlook
from ingestd.watch.sightings import Feed, Sighting


def glance(outlook: Outlook, paths: Iterable[str]) -> Findings | None:
    """What became of these paths; None where only a scan can tell.

    That is so for directories, which may hold files already, and for everything odd.
    """
    found = Findings(outlook)
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except OSError:  # gone again, or about to be told by a scan
            continue
        if not stat.S_ISREG(mode):
            return None
        for data_path in {path, *_data_paths(outlook.feeds, path)}:
            if not _sight(found, data_path):
                return None
    return found


def _data_paths(feeds: tuple[Feed, ...], path: str) -> Iterable[str]:
    """The files that this one marks as complete, if it is a marker."""
    markers = {feed.done_marker for feed in feeds if feed.done_marker}
    return (path.removesuffix(marker) for marker in markers if path.endswith(marker))


def _sight(found: Findings, path: str) -> bool:
    """Sight a file if it belongs to one source; False if it needs a closer look."""
    owners = [feed for feed in found.outlook.feeds if _is_data(found.outlook, feed, path)]
    if not owners:
        return True
    if len(owners) > 1 or os.path.realpath(path) != path:
        return False
    feed = owners[0]
    try:
        seen = os.lstat(path)
    except OSError:  # a marker without its file, or gone again
        return True
    is_marked = feed.done_marker is not None and os.path.lexists(path + feed.done_marker)
    now = Sighting(feed.source_name, path, stat_of(seen), is_marked)
    return stat.S_ISREG(seen.st_mode) and found.sight(feed, now)


def _is_data(outlook: Outlook, feed: Feed, path: str) -> bool:
    base = feed.base.rstrip("/") + "/"
    if not path.startswith(base) or feed.is_marker(path):
        return False
    parts = path.removeprefix(base).split("/")
    return feed.pattern.matches(parts) and not any(map(outlook.is_ignored, parts))
