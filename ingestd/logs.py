"""structlog set-up: JSON lines for machines, readable lines for a terminal, a file for errors.

Levels have written meanings. INFO: it worked. WARNING: odd, nothing lost. ERROR: somebody
must act. DEBUG: for whoever reads the code.
"""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

Format = Literal["auto", "json", "console"]

_ERROR_FILE_BYTES = 10 * 2**20


def configure(
    level: str, log_format: Format, error_file: Path | None, stream: TextIO | None = None
) -> None:
    """Send every log line to stdout (or ``stream``) and, from ERROR up, to ``error_file`` too.

    Raises:
        OSError: ``error_file`` cannot be written.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    stream = stream or sys.stdout
    is_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    lines = logging.StreamHandler(stream)
    lines.setFormatter(_formatter(shared, is_json))
    handlers: list[logging.Handler] = [lines]
    if error_file is not None:
        handlers.append(_error_handler(error_file, shared))
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, logging.handlers.RotatingFileHandler):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level.upper())
    for noisy in ("pymongo", "watchfiles", "asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _formatter(shared: list[Processor], is_json: bool) -> logging.Formatter:
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if is_json
        else [structlog.dev.ConsoleRenderer(pad_event_to=24)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _error_handler(error_file: Path, shared: list[Processor]) -> logging.Handler:
    error_file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        error_file, maxBytes=_ERROR_FILE_BYTES, backupCount=3, encoding="utf-8", delay=True
    )
    handler.setLevel(logging.ERROR)
    handler.setFormatter(_formatter(shared, is_json=True))
    return handler
