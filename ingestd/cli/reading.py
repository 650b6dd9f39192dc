"""Reading from MongoDB in a command: it answers within ``mongo.timeout``, or is away."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import typer

from ingestd import logs
from ingestd.config.naming import choice
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.connection import open_mongo
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo

Result = TypeVar("Result")


def ask_mongo(settings: Settings, question: Callable[[Mongo], Awaitable[Result]]) -> Result:
    """Put a question to the configured MongoDB; a private one is started if it does not run.

    Raises:
        ConfigError, StoreAway, StoreRefused: there is no answer.
    """
    logs.configure("critical", "auto", None, sys.stderr)
    return anyio.run(_ask, settings, question)


async def _ask(settings: Settings, question: Callable[[Mongo], Awaitable[Result]]) -> Result:
    async with open_mongo(settings, Events(Metrics())) as mongo:
        return await question(mongo)


def named_source(name: str, sources: Sequence[SourceSpec], hint: str = "--source") -> SourceSpec:
    """The source of that name; a wrong one is a wrong use of the command."""
    by_name = {source.name: source for source in sources}
    if name not in by_name:
        raise typer.BadParameter(
            f"there is no source {name!r}; {choice(name, by_name)}", param_hint="--source"
        )
    return by_name[name]
