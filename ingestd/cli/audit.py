"""``ingestd audit``: whether a file is stored as its original says."""

from functools import partial
from pathlib import Path

from ingestd.cli.actions import at_desk
from ingestd.cli.endings import show_error
from ingestd.cli.screen import clean, show_json, stderr, stdout
from ingestd.config.naming import counted
from ingestd.errors import ExitCode
from ingestd.wayback import Audit, audit


def audit_file(location: Path | None, file: str, *, as_json: bool) -> int:
    """Audit one file; 1 when something is not as it should be."""
    done = at_desk(location, partial(audit, file=file))
    if as_json:
        show_json(done.as_document())
    elif done.difference:
        _show_difference(done)
    else:
        counts = done.counts
        stdout().print(
            f"{clean(done.entry['name'])}: {counted(counts.record_count, 'row')} accounted for: "
            f"{counted(counts.success_count, 'document')}, "
            f"{counted(counts.error_count, 'rejection')}, "
            f"{counts.filtered_count:,} filtered"
        )
    return ExitCode.FAILED if done.difference else ExitCode.OK


def _show_difference(done: Audit) -> None:
    place = clean(done.entry["name"]) + (f", row {done.row}" if done.row is not None else "")
    hint = "its source has changed since it was loaded" if done.has_new_rules else ""
    show_error(stderr(), f"{place}: {done.difference}", hint)
