"""``ingestd infer``: a source from sample files, on stdout or into a new file."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ingestd.cli.archives import opened_archives
from ingestd.cli.screen import clean, show_json, stderr
from ingestd.config.reading import read_source
from ingestd.errors import ConfigError, ExitCode, IngestdError
from ingestd.formats.limits import Limits
from ingestd.infer import Inferred, Wanted, infer, notes
from ingestd.records import FoundFile


@dataclass(frozen=True, slots=True)
class InferOptions:
    """What the command line asked for."""

    name: str | None
    output: Path | None
    most_rows: int | None
    sheet: str | None
    as_json: bool


def infer_source(files: Sequence[Path], options: InferOptions) -> int:
    """Infer, write, and return the exit code."""
    if options.name is not None:
        _require_name(options.name)
    paths = [*dict.fromkeys(path.resolve() for path in files)]
    wanted = Wanted(options.name, options.most_rows, options.sheet, paths[0].name)
    with opened_archives(paths, Limits()) as opened:
        found = _without_empty_members(opened)
        inferred = infer([(file.path, file.stat) for file in found], wanted)
    known_as = {file.path: str(file.name_in_archive or file.path) for file in found}
    if options.output is not None:
        _write_new(options.output, inferred.toml)
    if options.as_json:
        show_json(_as_document(inferred, known_as))
    elif options.output is None:
        sys.stdout.write(inferred.toml)
    else:
        count = len(inferred.source.columns)
        stderr().print(f"{clean(options.output)}: source {inferred.source.name}, {count} columns")
        for note in notes(inferred.findings):
            stderr().print(f"  {clean(note)}")
    return _exit_code(inferred)


def _without_empty_members(files: Sequence[FoundFile]) -> Sequence[FoundFile]:
    """An archive may hold markers without content, which tell nothing; it is said which."""
    empty = [file.name_in_archive for file in files if _is_empty_member(file)]
    if len(empty) == len(files):
        return files
    for name in empty:
        stderr().print(f"{clean(name)}: empty, left out")
    return [file for file in files if not _is_empty_member(file)]


def _is_empty_member(file: FoundFile) -> bool:
    return file.name_in_archive is not None and not file.stat.size_bytes


def _exit_code(inferred: Inferred) -> int:
    """Says so where the source refuses most rows of its own samples."""
    readings = inferred.findings.readings
    rows = sum(reading.rows for reading in readings)
    unread = sum(reading.faults.total() for reading in readings)
    if unread * 2 <= rows:
        return ExitCode.OK
    stderr().print(
        f"this source refuses {unread:,} of the {rows:,} rows that it was made from:"
        " its first lines tell why"
    )
    return ExitCode.DATA_REFUSED


def _require_name(name: str) -> None:
    minimal = {"name": name, "file_pattern": "a", "schema": {"a": "string"}}
    try:
        read_source(Path("--name"), minimal)
    except ConfigError as error:
        (problem,) = error.problems
        raise typer.BadParameter(problem.message, param_hint="--name") from error


def _write_new(path: Path, text: str) -> None:
    """An existing file is somebody's work: it is never written over."""
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        hint = "remove it, or choose another name"
        raise IngestdError(f"{path} is there already", hint) from error
    except OSError as error:
        raise IngestdError(f"{path} cannot be written: {error.strerror}") from error


def _as_document(inferred: Inferred, known_as: Mapping[Path, str]) -> dict[str, object]:
    findings = inferred.findings
    return {
        "name": inferred.source.name,
        "files": [
            {
                "path": clean(known_as[reading.path]), "rows": reading.rows,
                "bytes": reading.read_bytes, "is_whole": reading.is_whole,
                "unreadable_rows": reading.faults.total(),
                "encoding": reading.encoding and reading.encoding.name,
                "is_encoding_sure": reading.encoding and reading.encoding.is_sure,
            }
            for reading in findings.readings
        ],
        "format": findings.format_name, findings.section: findings.options,
        "columns": [
            {
                "name": column.name, **column.description,
                "min": column.bounds[0], "max": column.bounds[1], "empty": column.empty,
                "distinct": column.evidence.distinct, "is_unique": column.is_unique,
                "doubts": column.doubts,
            }
            for column in findings.columns
        ],
        "notes": [clean(note) for note in notes(findings)],
        "toml": inferred.toml,
    }  # fmt: skip
