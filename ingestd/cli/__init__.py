"""The commands: what they are called, what they take, what they say of themselves.

Each reads the configuration, does one thing, and ends with a documented code. Their modules are
imported only when they run, so that ``ingestd --help`` does not wait for Polars and MongoDB.
"""

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ingestd import __version__
from ingestd.cli.options import (
    ConfigOption,
    FileArgument,
    JsonOption,
    LimitOption,
    SourceFilter,
)
from ingestd.cli.token import token
from ingestd.memory import keep_freed_memory
from ingestd.records import FileState

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(token, name="token")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"ingestd {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it")
    ] = False,
) -> None:
    """The daemon that turns dropped files into clean MongoDB documents.

    Exit codes: 0 fine, 1 failed, 2 wrong use, 65 some rows were refused, 69 MongoDB is away,
    78 the configuration has mistakes.
    """


@app.command()
def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the daemon.

    SIGTERM or Ctrl-C stops it once files at work are finished; a second one does not wait. With
    --json every log line is JSON, on a terminal too.
    """
    from ingestd.cli.run import run_daemon

    raise typer.Exit(run_daemon(config, as_json=as_json))


@app.command()
def load(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Files to load"),
    ],
    source: Annotated[
        str, typer.Option("--source", "-s", metavar="NAME", help="The source they belong to")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    archive: Annotated[
        bool, typer.Option("--archive", help="Move them to archive or failed, as the daemon does")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for MongoDB")
    ] = 30.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the log on stderr, too")
    ] = False,
) -> None:
    """Load files once, through the daemon's pipeline.

    They stay where they are. What was loaded before is not loaded again; stopped or killed, the
    same command goes on.
    """
    from ingestd.cli.load import LoadOptions, load_files

    options = LoadOptions(is_archiving=archive, wait_s=wait, is_verbose=verbose, as_json=as_json)
    raise typer.Exit(load_files(config, source, files, options))


@app.command("try")
def try_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file to try")
    ],
    source: Annotated[
        str, typer.Option("--source", "-s", metavar="NAME", help="The source it would belong to")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=1000, help="Show so many refused rows")
    ] = 5,
) -> None:
    """Show what would become of a file: what loads, what is refused, and why.

    It takes the daemon's path but for MongoDB, which need not be there. Nothing is written.
    """
    from ingestd.cli.trial import TrialOptions, show_trial

    options = TrialOptions(source_name=source, most_shown=limit, as_json=as_json)
    raise typer.Exit(show_trial(config, file, options))


@app.command()
def check(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    online: Annotated[
        bool, typer.Option("--online", help="Try MongoDB and the directories, too")
    ] = False,
) -> None:
    """Tell every mistake in the configuration; with --online, all that would fail with it here."""
    from ingestd.cli.check import check_configuration

    raise typer.Exit(check_configuration(config, is_online=online, as_json=as_json))


@app.command()
def infer(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Samples of one feed"),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the source; else like the first file")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a new file")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", "-n", min=1, help="Of each file about so many; else all")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option("--sheet", help="Of workbooks; else the first with a table")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a source from sample files: their dialect, columns and types.

    What was seen of each column stands beside it as comments, and rules to choose from.
    """
    from ingestd.cli.infer import InferOptions, infer_source

    options = InferOptions(name=name, output=output, most_rows=rows, sheet=sheet, as_json=as_json)
    raise typer.Exit(infer_source(files, options))


@app.command()
def files(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Everything about one: id, name or path")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    source: SourceFilter = None,
    state: Annotated[
        list[FileState] | None, typer.Option("--state", help="Only in this state (repeatable)")
    ] = None,
    limit: LimitOption = 20,
) -> None:
    """List the files of the ledger, newest first."""
    from ingestd.cli.files import FileFilter, show_file, show_files

    if file is not None:
        raise typer.Exit(show_file(config, file, as_json=as_json))
    raise typer.Exit(
        show_files(config, FileFilter(source, tuple(state or ()), limit), as_json=as_json)
    )


@app.command()
def errors(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    source: SourceFilter = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="Only of this: id, name or path"),
    ] = None,
    limit: LimitOption = 20,
) -> None:
    """List what was refused, and why; the newest last."""
    from ingestd.cli.errors import ErrorFilter, show_errors

    raise typer.Exit(show_errors(config, ErrorFilter(source, file, limit), as_json=as_json))


@app.command()
def retry(
    file: FileArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    ignore_budget: Annotated[
        bool, typer.Option("--ignore-budget", help="However many of its rows are refused")
    ] = False,
) -> None:
    """Bring a failed or held file back to its inbox, where the daemon loads it."""
    from ingestd.cli.actions import retry_file

    raise typer.Exit(retry_file(config, file, ignores_budget=ignore_budget, as_json=as_json))


@app.command()
def undo(file: FileArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Remove all rows of a file that was loaded; readers lose all of them at one moment.

    Its original stays in the archive.
    """
    from ingestd.cli.actions import undo_file

    raise typer.Exit(undo_file(config, file, as_json=as_json))


@app.command()
def forget(file: FileArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let the content of a file be loaded once more when it comes again.

    Its rows stay until it is certain that it loads; then the new ones take their place.
    """
    from ingestd.cli.actions import forget_file

    raise typer.Exit(forget_file(config, file, as_json=as_json))


@app.command()
def replay(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A loaded one: id, name or path")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", metavar="NAME", help="All files of this source")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try refused rows once more, by the rules of today; those that pass are stored.

    The original is read again from the archive.
    """
    from ingestd.cli.replay import replay_files

    if (file is None) == (source is None):
        raise typer.BadParameter("name either a file or a --source")
    raise typer.Exit(replay_files(config, file, source, as_json=as_json))


@app.command()
def dismiss(
    file: FileArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why nothing is mended")],
    rows: Annotated[
        list[int] | None,
        typer.Option("--row", min=0, metavar="ROW", help="Only this row (repeatable); 0: the file"),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close refused rows of a file of which nothing more is expected."""
    from ingestd.cli.actions import Dismissal, dismiss_rejections

    dismissal = Dismissal(reason, tuple(rows or ()))
    raise typer.Exit(dismiss_rejections(config, file, dismissal, as_json=as_json))


@app.command()
def replace(
    file: FileArgument,
    new_file: Annotated[
        Path, typer.Argument(metavar="NEWFILE", exists=True, dir_okay=False, help="The right one")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    archive: Annotated[
        bool, typer.Option("--archive", help="Move it to archive or failed, as the daemon does")
    ] = False,
    ignore_budget: Annotated[
        bool, typer.Option("--ignore-budget", help="However many of its rows are refused")
    ] = False,
) -> None:
    """Load a corrected file in the place of a loaded one.

    Readers see the old rows until all new ones are stored, and never both. When the new file does
    not load, the old one stays.
    """
    from ingestd.cli.replace import ReplaceOptions, replace_file

    options = ReplaceOptions(archive, ignore_budget, as_json)
    raise typer.Exit(replace_file(config, file, new_file, options))


@app.command()
def audit(file: FileArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Prove, row by row, that a loaded file is stored as its original says.

    Every row is the right document, a recorded rejection, or filtered. Ends with 1 at the first
    that is not, and names it.
    """
    from ingestd.cli.audit import audit_file

    raise typer.Exit(audit_file(config, file, as_json=as_json))


@app.command()
def receipt(file: FileArgument, config: ConfigOption = None) -> None:
    """Print as JSON what the sender of a file may be told: counts, refused rows, times."""
    from ingestd.cli.actions import show_receipt

    raise typer.Exit(show_receipt(config, file))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End with a summary")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch directory")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what ingestd does, on sample files.

    A daemon, a private MongoDB and files of many kinds, in a scratch directory.
    """
    from ingestd.demo import DemoOptions, run_demo

    raise typer.Exit(run_demo(DemoOptions(is_once=once, keeps=keep, as_json=as_json)))


def main() -> None:
    """Entry point of the ``ingestd`` script."""
    keep_freed_memory()
    try:
        app()
    except SystemExit as end:
        _leave(end.code)
    except KeyboardInterrupt:
        _leave(130)
    except Exception as error:
        from ingestd.cli.endings import tell

        _leave(tell(error))


def _leave(code: int | str | None) -> NoReturn:
    """End now. Python would first wait for all threads: some may wait for a MongoDB that hangs."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code if isinstance(code, int) else bool(code))
