"""Bearer tokens (RFC 6750): made once, kept as salted hashes only.

The secret is 256 random bits, so that one round of SHA-256 is enough: there is nothing to guess.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from ingestd.access.scopes import Principal, Scope, parse_scope

PREFIX = "ingestd"
"""Of every token, so that scanners find those that were published by mistake."""

Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$")]


class Token(BaseModel):
    """What is kept of a token; the token itself is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scopes: tuple[str, ...]
    salt: Hex
    sha256: Hex
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    def fits(self, secret: str) -> bool:
        """Whether that is its secret, in a time that tells nothing about it."""
        return hmac.compare_digest(_hash(self.salt, secret), self.sha256)

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    @property
    def principal(self) -> Principal:
        """Who comes with it."""
        return Principal(f"token {self.name}", tuple(map(parse_scope, self.scopes)), self.id)


def new_token(
    name: str, scopes: Sequence[Scope], expires_at: datetime | None
) -> tuple[Token, str]:  # fmt: skip
    """What is kept of a new token, and the token: nobody can show it a second time."""
    identity, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_hex(16)
    token = Token(
        id=identity, name=name or identity, scopes=tuple(map(str, scopes)), salt=salt,
        sha256=_hash(salt, secret), created_at=datetime.now(UTC), expires_at=expires_at,
    )  # fmt: skip
    return token, f"{PREFIX}_{identity}_{secret}"


def split_token(text: str) -> tuple[str, str]:
    """The id and the secret in a token; of anything else, what fits nobody's."""
    prefix, _, rest = text.partition("_")
    identity, _, secret = rest.partition("_")
    return (identity, secret) if prefix == PREFIX else ("", "")


def _hash(salt: str, secret: str) -> str:
    octets = bytes.fromhex(salt) + secret.encode("utf-8", "surrogatepass")
    return hashlib.sha256(octets).hexdigest()


NOBODY = Token(
    id="", name="", scopes=(), salt="00", sha256="00" * 32,
    created_at=datetime.fromtimestamp(0, UTC),
)  # fmt: skip
"""Compared with the secret of a token that nobody has, so that this takes as long."""
