"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="DIR_OR_FILE",
        help="Directory with ingestd.toml, or such a file; else ./config, else /etc/ingestd",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="Its id, a name that it has or had, or a path to it")
]
SourceFilter = Annotated[
    str | None, typer.Option("--source", "-s", metavar="NAME", help="Only of this source")
]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many, the newest")
]
