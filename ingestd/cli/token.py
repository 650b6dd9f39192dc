"""``ingestd token …``: what its commands are called and take; ``tokens.py`` does the work."""

from typing import Annotated

import typer

from ingestd.cli.options import ConfigOption, JsonOption

token = typer.Typer(no_args_is_help=True, help="Tokens for the HTTP API: create, list, revoke.")


@token.command("create")
def token_create(
    scope: Annotated[
        str,
        typer.Option(
            "--scope", metavar="SCOPE,...",
            help="What it allows: read, ingest, operate, metrics; of one source: read:orders",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Whose it is; told of what they do")] = "",
    expires: Annotated[
        str, typer.Option("--expires", metavar="DURATION", help='Such as "90d", or "never"')
    ] = "90d",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make a token and print it, this once; a running daemon takes it at once."""
    from ingestd.cli.tokens import TokenWish, create_token

    raise typer.Exit(create_token(config, TokenWish(name, scope, expires), as_json=as_json))


@token.command("list")
def token_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens there are; what makes them work is not kept."""
    from ingestd.cli.tokens import list_tokens

    raise typer.Exit(list_tokens(config, as_json=as_json))


@token.command("revoke")
def token_revoke(
    named: Annotated[str, typer.Argument(metavar="ID|NAME", help="As `ingestd token list` says")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token worthless, at once."""
    from ingestd.cli.tokens import revoke_token

    raise typer.Exit(revoke_token(config, named, as_json=as_json))
