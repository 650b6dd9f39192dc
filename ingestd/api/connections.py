"""Connections as they come in: how many at once, and with which certificate."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ingestd.access import Certificate
from ingestd.api.protocol import Protocol
from ingestd.config.settings import ApiSettings
from ingestd.events import Events

_FULL = b"""HTTP/1.1 503 Service Unavailable\r
Retry-After: 5\r
Content-Length: 0\r
Connection: close\r
\r
"""


class _Full(asyncio.Protocol):
    """Says that there is no room for one more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()


@dataclass(frozen=True, slots=True)
class Connections:
    """Makes the protocol of each new connection, before anything is read from it."""

    server: web.Server
    options: Mapping[str, Any]
    """Of each protocol."""
    settings: ApiSettings
    certificate: Certificate | None
    events: Events

    def __call__(self) -> asyncio.Protocol:
        if self.certificate is not None:
            self._renew(self.certificate)
        if len(self.server.connections) < self.settings.max_connections:
            loop = asyncio.get_running_loop()
            return Protocol(self.server, loop=loop, **self.options)
        self.events.connection_refused()
        return _Full()

    def _renew(self, certificate: Certificate) -> None:
        try:
            if certificate.renew():
                self.events.certificate_renewed()
        except (OSError, ValueError) as error:
            self.events.certificate_unusable(str(error))
