"""The commands. Each reads the configuration, does one thing, and ends with a documented code."""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from ingestd import logs
from ingestd.config.reading import read, require
from ingestd.daemon import serve
from ingestd.errors import ConfigError, ExitCode
from ingestd.events import Events
from ingestd.metrics import Metrics

app = typer.Typer(no_args_is_help=True, add_completion=False)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Directory or main TOML file")]


@app.callback()
def about() -> None:
    """The daemon that turns dropped files into clean MongoDB documents."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the daemon until it is stopped."""
    try:
        settings, sources = require(read(config))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(ExitCode.CONFIG) from error
    logs.configure(settings.logs.level, settings.logs.format, settings.logs.error_file)
    raise typer.Exit(anyio.run(serve, settings, sources, Events(Metrics())))


def main() -> None:
    """Entry point of the ``ingestd`` script."""
    app()


if __name__ == "__main__":
    main()
