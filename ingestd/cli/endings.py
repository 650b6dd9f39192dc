"""How an error ends a command: what is told on stderr, and with which exit code."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import Console
from rich.text import Text

from ingestd.cli.screen import clean, stderr
from ingestd.errors import ConfigError, ExitCode, IngestdError, Problem, StoreAway, StoreRefused

_SEVEREST_FIRST = (ConfigError, StoreRefused, StoreAway, IngestdError)


def tell(error: Exception) -> int:
    """Tell our own errors in words, and return the exit code; any other is a defect: raised."""
    ours = _first_of_ours(error)
    if isinstance(ours, ConfigError):
        show_problems(stderr(), ours.problems)
    else:
        show_error(stderr(), ours.message, ours.hint)
    return exit_code_of(ours)


def exit_code_of(error: IngestdError) -> int:
    """The documented code of an error that ends a command."""
    if isinstance(error, ConfigError):
        return ExitCode.CONFIG
    is_mongo = isinstance(error, StoreAway | StoreRefused)
    return ExitCode.STORE_AWAY if is_mongo else ExitCode.FAILED


def show_error(console: Console, message: str, hint: str = "", *, label: str = "error") -> None:
    """``error: …``, with the hint on a line of its own."""
    style = "bold red" if label == "error" else "bold yellow"
    console.print(Text(f"{label}: ", style).append(clean(message), "not bold default"))
    if hint:
        console.print(Text(f"{'hint:':<{len(label) + 1}} ", "bold").append(clean(hint), "not bold"))


def show_problems(console: Console, problems: Iterable[Problem]) -> None:
    """Every mistake of a configuration, file by file."""
    ordered = sorted(problems, key=lambda problem: problem.file)
    for file, group in groupby(ordered, key=lambda problem: problem.file):
        console.print(Text(clean(file), "bold"))
        for problem in group:
            console.print(_told(problem))
    counted = "1 mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    console.print(Text(f"{counted} in the configuration", "bold red"))


def _told(problem: Problem) -> Text:
    text = Text("  ")
    if problem.key:
        text.append(f"{clean(problem.key)}: ", "yellow")
    text.append(clean(problem.message))
    if problem.hint:
        text.append(f"\n      {clean(problem.hint)}", "cyan")
    return text


def _first_of_ours(error: Exception) -> IngestdError:
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, IngestdError) for leaf in leaves):
        raise error
    return next(
        leaf for kind in _SEVEREST_FIRST for leaf in leaves if isinstance(leaf, kind)
    )  # fmt: skip


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What task groups wrapped."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
