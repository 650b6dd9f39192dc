"""The HTTP server: started on an address, stopped with grace."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ingestd.access import Certificate, read_certificate
from ingestd.api.connections import Connections
from ingestd.api.listeners import listener_on
from ingestd.config.settings import ApiSettings
from ingestd.errors import ConfigError, Problem
from ingestd.events import Events

SHUTDOWN_S = 5.0
"""What requests in flight get when the server stops."""
_HANDSHAKE_S = 10.0
_LINGER_S = 10.0
"""How long the rest of a refused body is read, so that the client gets to see why."""


@dataclass(slots=True)
class ApiServer:
    """One listening socket and its connections."""

    events: Events
    _runner: web.AppRunner | None = None
    _listener: asyncio.Server | None = None

    async def start(self, app: web.Application, settings: ApiSettings) -> str:
        """Listen; returns the base URL. Port 0 takes a free one.

        Raises:
            ConfigError: the address or the certificate cannot be had.
        """
        certificate = read_certificate(settings)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        assert self._runner.server is not None
        connections = Connections(
            self._runner.server, _options(settings), settings, certificate, self.events
        )
        try:
            self._listener = await _listen(connections, settings, certificate)
        except OSError as error:
            await self.stop()
            raise ConfigError((_explained(error, settings),)) from error
        if settings.socket is not None:
            return f"unix:{settings.socket}"
        scheme = "http" if certificate is None else "https"
        return f"{scheme}://{_host(settings.host)}:{self._listener.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Take no more requests, end those in flight, close."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def _options(settings: ApiSettings) -> Mapping[str, Any]:
    """Of every connection, for aiohttp."""
    return {
        "access_log": None, "logger": _quiet_logger(), "auto_decompress": False,
        "keepalive_timeout": settings.idle_timeout, "max_line_size": settings.max_url,
        "max_field_size": settings.max_header, "max_headers": settings.max_headers,
        "lingering_time": min(_LINGER_S, settings.stall_timeout),
    }  # fmt: skip


async def _listen(
    connections: Connections, settings: ApiSettings, certificate: Certificate | None
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    tls = None if certificate is None else certificate.context
    handshake_s = None if tls is None else _HANDSHAKE_S
    if settings.socket is not None:
        bound = _bound(settings.socket, int(settings.socket_mode, 8))
        return await loop.create_unix_server(
            connections, sock=bound, ssl=tls, ssl_handshake_timeout=handshake_s
        )
    server = await loop.create_server(
        connections, settings.host, settings.port, ssl=tls, ssl_handshake_timeout=handshake_s
    )
    for listening in server.sockets:  # a connection inherits it: tcp(7)
        stall_ms = int(settings.stall_timeout * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
    return server


def _bound(path: Path, mode: int) -> socket.socket:
    """A Unix socket with those rights from the first moment; one left by a crash goes away."""
    if path.is_socket():
        path.unlink()
    bound = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o777 & ~mode)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(umask)
    return bound


def _quiet_logger() -> logging.Logger:
    """Without a traceback for everybody who sends what is not HTTP; they get their 400."""
    logger = logging.getLogger("ingestd.http")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _host(host: str) -> str:
    """What a client on this machine types; an address that means "all" is no place to go."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"[{name}]" if ":" in name and "[" not in name else name


def _explained(error: OSError, settings: ApiSettings) -> Problem:
    if settings.socket is not None:
        reason = error.strerror or str(error)
        message = f"cannot listen on {settings.socket}: {reason}"
        return Problem("settings", "api.socket", message, "take a short path that can be written")
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        message = f"{where} is taken{listener_on(settings.port)}"
        return Problem("settings", "api.port", message, "stop it, or set another api.port")
    if error.errno == errno.EACCES:
        hint = "ports below 1024 need a right of their own; take 1024 or above"
        return Problem("settings", "api.port", f"{where} may not be used", hint)
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        hint = "use an address of this machine: 127.0.0.1, or 0.0.0.0 for all"
        return Problem("settings", "api.host", f"{where} is no address of this machine", hint)
    return Problem("settings", "api", f"cannot listen on {where}: {error.strerror}")
