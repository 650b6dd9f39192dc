"""``ingestd replay``: refused rows once more, by the rules of today."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingestd.api.files import as_file
from ingestd.cli.actions import at_desk, operator
from ingestd.cli.configured import require_compiled
from ingestd.cli.endings import show_error
from ingestd.cli.reading import named_source
from ingestd.cli.screen import clean, show_json, stderr, stdout
from ingestd.config.naming import counted
from ingestd.errors import ExitCode, IngestdError
from ingestd.export.json_text import to_json
from ingestd.mongo import Document
from ingestd.pipeline import Desk
from ingestd.wayback import refused_files, replay


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it went, file by file."""

    entries: list[Document]
    errors: list[IngestdError]


def replay_files(
    location: Path | None, file: str | None, source: str | None, *, as_json: bool
) -> int:
    """Replay one file, or all of a source; what is wrong with one file keeps no other."""
    if source is not None:
        named_source(source, require_compiled(location)[1])
    done = at_desk(location, partial(_replay, file=file, source=source))
    if as_json:
        show_json([json.loads(to_json(as_file(entry))) for entry in done.entries])
    else:
        _show(done)
    for error in done.errors:
        show_error(stderr(), error.message, error.hint)
    if done.errors:
        return ExitCode.FAILED
    is_refused = any(entry["error_count"] for entry in done.entries)
    return ExitCode.DATA_REFUSED if is_refused else ExitCode.OK


async def _replay(desk: Desk, file: str | None, source: str | None) -> Replayed:
    done = Replayed([], [])
    for name in [file] if file else await refused_files(desk, source or ""):
        try:
            done.entries.append(await replay(desk, name, operator()))
        except IngestdError as error:
            done.errors.append(error)
    return done


def _show(done: Replayed) -> None:
    for entry in done.entries:
        stored = (entry["replayed"] or {}).get("document", 0)
        stdout().print(
            f"{clean(entry['name'])}: {counted(stored, 'refused row')} stored by now, "
            f"{entry['error_count']:,} still refused"
        )
    if not done.entries and not done.errors:
        stderr().print("nothing is open")
