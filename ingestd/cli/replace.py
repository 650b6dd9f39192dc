"""``ingestd replace``: a corrected file in the place of a loaded one."""

from functools import partial
from pathlib import Path

from ingestd.cli.actions import at_desk, operator
from ingestd.cli.load import LoadOptions, load_files
from ingestd.wayback import begin_replace

_WAIT_S = 30.0
"""For MongoDB, as ``ingestd load`` does."""


def replace_file(
    location: Path | None, file: str, new_file: Path, *, is_archiving: bool, as_json: bool
) -> int:
    """Load the new file; returns the exit code of ``ingestd load``."""
    begin = partial(begin_replace, file=file, by=operator(), new_file=new_file)
    entry = at_desk(location, begin)
    options = LoadOptions(
        is_archiving=is_archiving, wait_s=_WAIT_S, is_verbose=False, as_json=as_json,
        replaces=entry["_id"],
    )  # fmt: skip
    return load_files(location, entry["source_name"], [new_file], options)
