"""``ingestd token create``, ``list`` and ``revoke``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from ingestd.access import Scope, Token, TokenFile, new_token, parse_scope, takes_anybody
from ingestd.cli.screen import Column, clean, local_time, show_json, show_table, stderr, stdout
from ingestd.config.naming import choice
from ingestd.config.quantities import parse_duration
from ingestd.config.reading import read, require
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import ExitCode

NEVER = "never"
_COLUMNS = (
    Column("id", is_key=True), Column("name"), Column("scopes"), Column("created"),
    Column("expires"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What somebody wants of a new token, as they wrote it."""

    name: str
    scopes: str
    expires: str


def create_token(location: Path | None, wish: TokenWish, *, as_json: bool) -> int:
    """Make a token and print it: the only time that it can be seen."""
    settings, sources = require(read(location))
    token, text = new_token(
        wish.name, _read_scopes(wish.scopes, sources), _read_expiry(wish.expires)
    )
    TokenFile(settings.paths.root).add(token)
    if as_json:
        show_json({**_as_document(token), "token": text})
    else:
        stdout().print(text)
        _advise(settings)
    return ExitCode.OK


def list_tokens(location: Path | None, *, as_json: bool) -> int:
    """Show what tokens there are, without what makes them work."""
    settings, _ = require(read(location))
    tokens = TokenFile(settings.paths.root).read()
    if as_json:
        show_json([_as_document(token) for token in tokens])
    else:
        show_table(stdout(), _COLUMNS, [_row(token) for token in tokens])
    return ExitCode.OK


def revoke_token(location: Path | None, named: str, *, as_json: bool) -> int:
    """Make a token worthless, at once."""
    settings, _ = require(read(location))
    revoked = TokenFile(settings.paths.root).revoke(named)
    if not revoked:
        raise typer.BadParameter(f"there is no token {named!r}; see `ingestd token list`")
    if as_json:
        show_json([_as_document(token) for token in revoked])
    else:
        for token in revoked:
            stdout().print(f"revoked {token.id} ({clean(token.name)})")
    return ExitCode.OK


def _read_scopes(text: str, sources: tuple[SourceSpec, ...]) -> list[Scope]:
    try:
        scopes = [parse_scope(part.strip()) for part in text.split(",")]
        for source in (scope.source for scope in scopes if scope.source is not None):
            _require_source(source, [spec.name for spec in sources])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from error
    return scopes


def _require_source(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ValueError(f"there is no source {name!r}; {choice(name, known)}")


def _read_expiry(text: str) -> datetime | None:
    if text == NEVER:
        return None
    try:
        seconds = float(str(parse_duration(text)))
        if seconds <= 0:
            raise ValueError("it has to be in the future")
        return datetime.now(UTC) + timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        hint = f'{error}; write it like "90d", or "{NEVER}"'
        raise typer.BadParameter(hint, param_hint="--expires") from error


def _advise(settings: Settings) -> None:
    if takes_anybody(settings.api):
        stderr().print(
            "note: this daemon asks nobody for a token; set api.allow_anonymous = false",
            style="dim",
        )


def _row(token: Token) -> list[str]:
    ends = local_time(token.expires_at) or NEVER
    return [
        token.id, clean(token.name), ",".join(token.scopes), local_time(token.created_at),
        f"{ends} (expired)" if token.is_expired else ends,
    ]  # fmt: skip


def _as_document(token: Token) -> dict[str, object]:
    return token.model_dump(mode="json", exclude={"salt", "sha256"}) | {
        "is_expired": token.is_expired
    }
