"""TLS of the HTTP server: its certificate, the clients it takes, and files that are renewed."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ingestd.config.settings import ApiSettings
from ingestd.errors import ConfigError, Problem

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Certificate:
    """The certificate of new connections; renewed files are taken without a restart."""

    chain: Path
    key: Path
    """The same file when that holds both."""
    context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _seen: Stamp = ()

    def renew(self) -> bool:
        """Load the files when they changed; returns whether they did. Raises OSError, once.

        What is half written is loaded when it changes again; the old certificate serves until then.
        """
        files = [path.stat() for path in (self.chain, self.key)]
        stamp = tuple((seen.st_ino, seen.st_size, seen.st_mtime_ns) for seen in files)
        if stamp == self._seen:
            return False
        self._seen = stamp
        self.context.load_cert_chain(self.chain, self.key, password=_no_password)
        return True


def read_certificate(api: ApiSettings) -> Certificate | None:
    """What the settings say; None: connections are not encrypted.

    Raises:
        ConfigError: a file cannot be used, or one is named without the other.
    """
    if api.tls_certificate is None:
        if api.tls_key or api.tls_client_ca:
            raise _refused("api.tls_certificate", "is missing", "set it beside the other tls_ keys")
        return None
    certificate = Certificate(api.tls_certificate, api.tls_key or api.tls_certificate)
    with _explaining("api.tls_certificate", certificate.chain):
        certificate.renew()
    if api.tls_client_ca is not None:
        with _explaining("api.tls_client_ca", api.tls_client_ca):
            certificate.context.load_verify_locations(api.tls_client_ca)
        certificate.context.verify_mode = ssl.CERT_REQUIRED
    return certificate


@contextmanager
def _explaining(key: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        named = Path(getattr(error, "filename", None) or path)
        hint = "PEM files, the key without a password, which the user of the daemon can read"
        raise _refused(key, f"{named} cannot be used: {reason}", hint) from error


def _refused(key: str, message: str, hint: str) -> ConfigError:
    return ConfigError((Problem("settings", key, message, hint),))


def _no_password() -> str:
    """Asked on a terminal, nobody would answer."""
    raise ValueError("the key has a password")
