"""The exceptions of ingestd. Each class is one answer to "what now?".

    IngestdError
    ├── ConfigError        the configuration cannot be used      refuse to start
    ├── FileRefused        this file will never load as it is    set it aside, carry on
    │   ├── FileDrifted        its columns are not its source's  the same, and tell which
    │   ├── FileUnavailable    it cannot be had at the moment    try again later
    │   │   └── FileChanged        its content is there no more  take it for a new file
    │   └── FileHeld           more rows refused than allowed    set it aside until someone decides
    ├── FileTaken          another ingestd has this file         leave it alone, look again
    ├── ActionRefused      a file's state forbids what is asked  tell who asked, change nothing
    │   └── UnknownFile    the ledger knows no such file
    ├── WorkerLost         a worker process died                 try the chunk again, alone
    │   └── WorkerHung     it took too long                     try the chunk again
    ├── StoreAway          MongoDB cannot be reached             wait, reading stops
    │   ├── AnswerLost     the connection broke: done, or not    ask again, for less at a time
    │   └── QueryTooSlow   a reader's query took too long        ask for less
    ├── ExportRefused      a form has no place for a stored value  ask for another form
    └── StoreRefused       MongoDB answered no                   hold the file, tell the operator
        └── EntryRefused   it lets us in no more, or never did   at start: end; later: wait

The policy (what each leads to) is one table in ``pipeline.py``. A bad *row* is
never an exception: it becomes one of ``records.Rejections``.

All arguments are positional and reach ``Exception.__init__``, so that an error
raised in a worker survives pickling.
"""

from dataclasses import dataclass

from ingestd.records import Drift


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: where it stands, what was found, what is allowed."""

    file: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}: " if self.key else f"{self.file}: "
        return place + self.message + (f" ({self.hint})" if self.hint else "")


class IngestdError(Exception):
    """Root of all errors of ingestd. ``message`` says what failed, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(IngestdError):
    """The configuration cannot be used; ``problems`` holds every mistake found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        Exception.__init__(self, problems)
        self.problems = problems
        self.message = "; ".join(str(problem) for problem in problems)
        self.hint = ""


class FileRefused(IngestdError):
    """This file will never load as it is: it is set aside and the source goes on.

    ``error_type`` is a short name for machines: ``empty_file``, ``missing_column``, …
    """

    def __init__(self, error_type: str, message: str, hint: str = "") -> None:
        Exception.__init__(self, error_type, message, hint)
        self.error_type = error_type
        self.message = message
        self.hint = hint


class FileDrifted(FileRefused):
    """This file has other columns than its source takes."""

    def __init__(self, error_type: str, message: str, hint: str, drift: Drift) -> None:
        Exception.__init__(self, error_type, message, hint, drift)
        self.error_type = error_type
        self.message = message
        self.hint = hint
        self.drift = drift


class FileUnavailable(FileRefused):
    """This file cannot be had at the moment (permission, I/O, still changing): tried again."""


class FileChanged(FileUnavailable):
    """What was found of this file is there no more: it was written to, replaced or removed."""


class FileHeld(FileRefused):
    """More rows of this file were refused than its source allows: a person has to decide."""


class FileTaken(IngestdError):
    """Another process has taken up this file: what is stored of it is not ours to touch."""


class ActionRefused(IngestdError):
    """What somebody asks to be done with a file cannot be done with it, or not now."""


class UnknownFile(ActionRefused):
    """The ledger knows no such file."""


class WorkerLost(IngestdError):
    """A worker process died; its chunk may be tried again."""


class WorkerHung(WorkerLost):
    """A worker process ran out of time, and was ended."""


class StoreAway(IngestdError):
    """MongoDB cannot be reached or cannot take writes now; the same call may pass later."""


class AnswerLost(StoreAway):
    """The connection broke, or no answer came in time: what was asked for may be done, or not."""


class QueryTooSlow(StoreAway):
    """A query reached the time limit its reader set; a narrower one may pass."""


class ExportRefused(IngestdError):
    """A stored value has no place in the form that a reader asks for; another form takes it."""


class StoreRefused(IngestdError):
    """MongoDB answered no (rights, validator, name): an operator has to act."""


class EntryRefused(StoreRefused):
    """MongoDB does not let us in (password, version), whatever is asked of it."""


class ExitCode:
    """Exit codes of the commands; 64 and up after ``sysexits.h``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DATA_REFUSED = 65
    STORE_AWAY = 69
    """MongoDB is away, or refuses."""
    CONFIG = 78
