"""Whether anybody needs a token, and whether a daemon may listen where it is told to."""

import ipaddress
from collections.abc import Iterator

from ingestd.access.store import TokenFile
from ingestd.access.tls import read_certificate
from ingestd.config.settings import ApiSettings, Settings
from ingestd.errors import ConfigError, Problem


def is_local(api: ApiSettings) -> bool:
    """Whether only programs of this machine can reach it: the loopback, or a Unix socket."""
    if api.socket is not None or api.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(api.host.strip("[]")).is_loopback
    except ValueError:
        return False


def takes_anybody(api: ApiSettings) -> bool:
    """Whether requests without a token may do everything."""
    return is_local(api) if api.allow_anonymous is None else api.allow_anonymous


def access_problems(settings: Settings) -> Iterator[Problem]:
    """Why the daemon must not listen as it is configured."""
    try:
        read_certificate(settings.api)
        tokens = TokenFile(settings.paths.root).read()
    except ConfigError as error:
        yield from error.problems
        return
    if not takes_anybody(settings.api) and all(token.is_expired for token in tokens):
        where = settings.api.socket or settings.api.host
        yield Problem(
            "settings", "api.allow_anonymous",
            f"requests to {where} need a token, and there is none",
            "make one with `ingestd token create --scope read`; or listen on 127.0.0.1; or set "
            "api.allow_anonymous = true to let everybody in",
        )  # fmt: skip
