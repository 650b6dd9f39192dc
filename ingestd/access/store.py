"""Where tokens are kept: a file that only its owner can read, seen anew as soon as it changes."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ingestd.access.tokens import NOBODY, Token, split_token
from ingestd.errors import ConfigError, Problem
from ingestd.files import write_atomically

_TOKENS = TypeAdapter(tuple[Token, ...])
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The tokens of one daemon: ``tokens.json`` in its ``paths.root``."""

    root: Path

    @property
    def path(self) -> Path:
        return self.root / "tokens.json"

    def read(self) -> tuple[Token, ...]:
        """All tokens, also those that have expired.

        Raises:
            ConfigError: the file cannot be read, or is none of ours.
        """
        try:
            return _TOKENS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            hint = "run the command as the user of the daemon"
            raise self._unusable(error.strerror or "", hint) from error
        except ValidationError as error:
            hint = "restore it, or remove it and make the tokens anew"
            raise self._unusable("it is damaged", hint) from error

    def add(self, token: Token) -> None:
        """Keep one more."""
        with self._alone():
            self._write((*self.read(), token))

    def revoke(self, named: str) -> tuple[Token, ...]:
        """Remove those with that id or name; returns them."""
        with self._alone():
            tokens = self.read()
            gone = tuple(token for token in tokens if named in (token.id, token.name))
            if gone:
                self._write(tuple(token for token in tokens if token not in gone))
            return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once would each write what the other does not know."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unusable(error.strerror or "", "see paths.root") from error
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = json.dumps(_TOKENS.dump_python(tokens, mode="json"), indent=1)
        write_atomically(self.path, [text.encode()], replace=True, mode=_OWNER_ONLY)
        if os.geteuid() == 0:  # of root's commands the daemon has to be able to read it
            owner = self.root.stat()
            os.chown(self.path, owner.st_uid, owner.st_gid)

    def _unusable(self, reason: str, hint: str) -> ConfigError:
        message = f"{self.path} cannot be used: {reason}"
        return ConfigError((Problem("settings", "paths.root", message, hint),))


@dataclass(slots=True)
class TokenBook:
    """The tokens as the daemon looks them up: a look costs one ``stat`` while nothing changes."""

    file: TokenFile
    _seen: tuple[int, int, int] | None = None
    _tokens: Mapping[str, Token] = field(default_factory=dict)

    def find(self, text: str) -> Token | None:
        """The token that this text is, also an expired one.

        Raises:
            ConfigError: the file cannot be read.
        """
        self._look()
        identity, secret = split_token(text)
        token = self._tokens.get(identity, NOBODY)
        return token if token.fits(secret) else None

    def _look(self) -> None:
        try:
            now = self.file.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        seen = (now.st_ino, now.st_size, now.st_mtime_ns)
        if seen != self._seen:
            self._tokens = {token.id: token for token in self.file.read()}
            self._seen = seen
