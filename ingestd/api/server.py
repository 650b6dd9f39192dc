"""The HTTP server: started on an address, stopped with grace."""

import errno
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ingestd.api.listeners import listener_on
from ingestd.config.settings import ApiSettings
from ingestd.errors import ConfigError, Problem

KEEPALIVE_S = 75.0
"""Idle connections; longer than the 60 s of the usual reverse proxies."""
SHUTDOWN_S = 5.0
"""What requests in flight get when the server stops."""
MAX_LINE_BYTES = 2**14


@dataclass(slots=True)
class ApiServer:
    """One listening socket and its connections."""

    _runner: web.AppRunner | None = None

    async def start(self, app: web.Application, settings: ApiSettings) -> str:
        """Listen; returns the base URL. Port 0 takes a free one.

        Raises:
            ConfigError: the address cannot be had.
        """
        runner = web.AppRunner(
            app, handle_signals=False, access_log=None, keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S, max_line_size=MAX_LINE_BYTES, logger=_quiet_logger(),
        )  # fmt: skip
        await runner.setup()
        try:
            await _site(runner, settings).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError((_explained(error, settings),)) from error
        self._runner = runner
        if settings.socket is not None:
            return f"unix:{settings.socket}"
        return _base_url(settings.host, runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no more requests, end those in flight, close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def _site(runner: web.AppRunner, settings: ApiSettings) -> web.BaseSite:
    if settings.socket is None:
        return web.TCPSite(runner, settings.host, settings.port)
    return web.SockSite(runner, _bound(settings.socket, int(settings.socket_mode, 8)))


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


def _base_url(host: str, port: int) -> str:
    """What a client on this machine types; an address that means "all" is no place to go."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name and "[" not in name else f"http://{name}:{port}"


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
