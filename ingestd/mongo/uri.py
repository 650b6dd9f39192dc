"""The driver's client for ``mongo.uri``: what the URI may say, and what is ours to say."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError

from ingestd.config.settings import MongoSettings
from ingestd.errors import ConfigError, Problem

_HINT = "write it as mongodb://USER:PASSWORD@HOST:PORT/, user and password percent-encoded"
_ANSWER_MARGIN_S = 5.0
"""MongoDB gives a write up after ``mongo.write_timeout``, and is given time to say so."""


def open_client(uri: str, settings: MongoSettings) -> Any:
    """A client that connects at its first command.

    Time limits are those of the settings, whatever the URI says: a limit too short would make
    every attempt at a long write fail, and none would never notice a connection that went dead.

    Raises:
        ConfigError: no server could mend this URI.
    """
    with _mistakes_told(), warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", "Wire protocol compression")  # it does without
        client: Any = AsyncIOMotorClient(
            uri,
            appname="ingestd",
            tz_aware=True,
            tzinfo=UTC,
            timeoutMS=None,
            serverSelectionTimeoutMS=int(settings.timeout * 1000),
            connectTimeoutMS=int(settings.timeout * 1000),
            socketTimeoutMS=int((settings.write_timeout + _ANSWER_MARGIN_S) * 1000),
        )
        for doubt in doubts:  # an option it does not know, or a value that it does not take
            client.close()
            raise ValueError(str(doubt.message))
    return client


@contextmanager
def _mistakes_told() -> Iterator[None]:
    """The driver's words for them hold nothing of the URI itself."""
    try:
        yield
    except (ConfigurationError, ValueError, TypeError) as error:
        message = str(error).split(", use urllib")[0].split(" or maybe a camelCase")[0]
        raise ConfigError((Problem("settings", "mongo.uri", message, _HINT),)) from error
    except OSError as error:
        message = f"{error.filename or 'a file of its options'}: {error.strerror}"
        hint = "tlsCAFile and tlsCertificateKeyFile name files that exist and can be read"
        raise ConfigError((Problem("settings", "mongo.uri", message, hint),)) from error
