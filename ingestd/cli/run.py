"""``ingestd run``."""

from functools import partial
from pathlib import Path

import anyio

from ingestd import logs
from ingestd.cli.configured import require_compiled
from ingestd.config.settings import LogSettings
from ingestd.daemon import serve
from ingestd.errors import ConfigError, Problem
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.reload import Configuration


def run_daemon(location: Path | None, *, as_json: bool) -> int:
    """Run until a signal says stop; returns the exit code."""
    read = partial(_read, location, as_json=as_json)
    return anyio.run(serve, read(), read, Events(Metrics()))


def _read(location: Path | None, *, as_json: bool) -> Configuration:
    """The configuration; the log is opened by it, anew if it was open."""
    configuration = Configuration(*require_compiled(location))
    _configure_logs(configuration.settings.logs, as_json=as_json)
    return configuration


def _configure_logs(settings: LogSettings, *, as_json: bool) -> None:
    log_format = "json" if as_json else settings.format
    try:
        logs.configure(settings.level, log_format, settings.error_file)
    except OSError as error:
        message = f"{settings.error_file} cannot be written: {error.strerror}"
        hint = "give its directory to the user who runs ingestd, or set logs.error_file"
        raise ConfigError((Problem("settings", "logs.error_file", message, hint),)) from error
