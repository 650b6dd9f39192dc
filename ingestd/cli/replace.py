"""``ingestd replace``: a corrected file in the place of a loaded one."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingestd.cli.actions import at_desk, operator
from ingestd.cli.load import LoadOptions, load_files
from ingestd.wayback import begin_replace

_WAIT_S = 30.0
"""For MongoDB, as ``ingestd load`` does."""


@dataclass(frozen=True, slots=True)
class ReplaceOptions:
    """What the command line asked for."""

    is_archiving: bool
    ignores_budget: bool
    as_json: bool


def replace_file(location: Path | None, file: str, new_file: Path, asked: ReplaceOptions) -> int:
    """Load the new file; returns the exit code of ``ingestd load``."""
    begin = partial(begin_replace, file=file, by=operator(), new_file=new_file)
    entry = at_desk(location, begin)
    options = LoadOptions(
        is_archiving=asked.is_archiving, wait_s=_WAIT_S, is_verbose=False, as_json=asked.as_json,
        replaces=entry["_id"], ignores_budget=asked.ignores_budget,
    )  # fmt: skip
    return load_files(location, entry["source_name"], [new_file], options)
