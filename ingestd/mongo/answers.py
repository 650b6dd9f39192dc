"""What MongoDB and its driver answer, as our errors and as faults of single documents."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bson.errors import BSONError
from dns.exception import DNSException
from pymongo import errors

from ingestd.errors import AnswerLost, EntryRefused, QueryTooSlow, StoreAway, StoreRefused
from ingestd.mongo.validation import unsatisfied

_PASSING = {
    6: "HostUnreachable", 7: "HostNotFound", 24: "LockTimeout", 43: "CursorNotFound",
    46: "LockBusy", 50: "MaxTimeMSExpired", 64: "WriteConcernFailed", 89: "NetworkTimeout",
    91: "ShutdownInProgress", 100: "UnsatisfiableWriteConcern", 107: "LockFailed",
    112: "WriteConflict", 117: "ConflictingOperationInProgress",
    133: "FailedToSatisfyReadPreference", 134: "ReadConcernMajorityNotAvailableYet",
    189: "PrimarySteppedDown", 202: "NetworkInterfaceExceededTimeLimit",
    251: "NoSuchTransaction", 262: "ExceededTimeLimit", 276: "IndexBuildAborted",
    279: "ClientDisconnect", 365: "TemporarilyUnavailable", 9001: "SocketException",
    10107: "NotWritablePrimary", 11600: "InterruptedAtShutdown", 11601: "Interrupted",
    11602: "InterruptedDueToReplStateChange", 13388: "StaleConfig",
    13435: "NotPrimaryNoSecondaryOk", 13436: "NotPrimaryOrSecondary", 14031: "OutOfDiskSpace",
}  # fmt: skip
"""Answers that pass by themselves: elections, restarts, time limits, locks, a full disk. Codes of
the server's ``src/mongo/base/error_codes.yml``."""

_PASSING_LABELS = (
    "RetryableWriteError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
)

_ELECTION = (
    "its replica set elects a primary by itself while most members are up; if it lasts, name all "
    "of them in mongo.uri, with replicaSet"
)
_ROOM = "make room on MongoDB's disk; it is tried again"
_ROLE = "give the user of mongo.uri the role readWrite on the database"
_LOGIN = "check user name, password and authSource in mongo.uri"
_HINTS = {
    13: _ROLE, 18: _LOGIN,
    64: "most members of the replica set have to be up, and to keep up with the primary",
    189: _ELECTION, 8000: _LOGIN, 10107: _ELECTION, 11602: _ELECTION, 13435: _ELECTION,
    13436: _ELECTION, 14031: _ROOM,
}  # fmt: skip
_ENTRY = (18, 8000)
"""Answers to a login that failed; 8000 is what Atlas says."""
_NO_LOGIN = "requires authentication"
_NO_ROOM = "No space left on device"
"""What the storage engine says comes with the code of an unknown error."""
_HINTS_BY_WORDS = {
    _NO_ROOM: _ROOM,
    _NO_LOGIN: "mongo.uri has to name a user, with password, that MongoDB knows",
    "SSL": "compare tls and tlsCAFile in mongo.uri with net.tls of MongoDB",
    "connection closed": "MongoDB hung up: is it stopping, or does it want tls=true in mongo.uri?",
    "replica set name": "replicaSet in mongo.uri is not what that replica set is called",
    "replica set member": _ELECTION,
    "wire version": "4.4 or later is needed",
    "DNS": "is the host of mongo.uri right, and does its name resolve here?",
    "Name or service": "is the host of mongo.uri right, and does its name resolve here?",
}
"""Where the driver has words only."""
_TIMEOUTS = re.compile(r" \(configured timeouts: [^)]*\)")
_COMMAND = re.compile(r'\{ (\w+): "([^"]+)".*')
"""Of a command that MongoDB repeats, what it does with which collection is enough."""
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class WriteFault:
    """Why MongoDB did not take one document of a batch; ``index`` is its place in the batch."""

    index: int
    code: int
    message: str
    key: tuple[str, ...] = ()
    """The fields of the unique index that refused the document, if one did."""

    @property
    def is_duplicate(self) -> bool:
        return self.code == _DUPLICATE_KEY

    @property
    def is_own_id(self) -> bool:
        """A document with this ``_id`` is there already: an earlier attempt stored it."""
        return self.is_duplicate and self.key == ("_id",)

    def at(self, index: int) -> "WriteFault":
        """The same fault of a document that stands elsewhere in another batch."""
        return replace(self, index=index)


@contextmanager
def errors_mapped(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ``StoreAway`` or ``StoreRefused``; nothing else leaves here."""
    try:
        yield
    except errors.OperationFailure as error:
        raise _refusal(doing, error) from error
    except errors.NotPrimaryError as error:
        raise StoreAway(f"{doing}: MongoDB has no primary: {_short(error)}", _ELECTION) from error
    except (errors.ConnectionFailure, errors.WaitQueueTimeoutError, TimeoutError) as error:
        raise _unreachable(doing, error) from error
    except errors.ConfigurationError as error:
        raise _no_entry(doing, error) from error
    except (errors.PyMongoError, BSONError, ValueError, OverflowError) as error:
        if "after close" in str(error):  # meanwhile somebody logged in anew
            raise AnswerLost(f"{doing}: {_short(error)}", "it is tried again") from error
        raise StoreRefused(f"{doing}: {_short(error)}", "see the MongoDB log") from error


def _refusal(doing: str, error: errors.OperationFailure) -> StoreAway | StoreRefused:
    code = error.code or 0
    if isinstance(error, errors.ExecutionTimeout):
        return QueryTooSlow(f"{doing}: the time limit of the query was reached")
    reason = _short(error)
    text = f"{doing}: MongoDB answered: {reason} (code {code})"
    if _is_passing(error, code):
        return StoreAway(text, _hint_of(reason, _HINTS.get(code, "it is tried again")))
    is_stranger = code in _ENTRY or _NO_LOGIN in reason
    kind = EntryRefused if is_stranger else StoreRefused
    return kind(text, _hint_of(reason, _HINTS.get(code, "see the MongoDB log")))


def _unreachable(doing: str, error: Exception) -> StoreAway:
    """Before a server was found nothing was asked of any; else it may have heard it."""
    reason = _short(error) or "no answer in time"
    kind = StoreAway if isinstance(error, errors.ServerSelectionTimeoutError) else AnswerLost
    hint = _hint_of(reason, "is mongod running, and is mongo.uri right?")
    return kind(f"{doing}: MongoDB cannot be reached: {reason}", hint)


def _no_entry(doing: str, error: errors.ConfigurationError) -> StoreAway | StoreRefused:
    """What only shows when the server is asked for: its version, or where it is (SRV records)."""
    reason = _short(error)
    hint = _hint_of(reason, "check mongo.uri")
    if isinstance(error.__cause__, DNSException):  # like any other host that is not found
        return StoreAway(f"{doing}: MongoDB cannot be reached: {reason}", hint)
    return EntryRefused(f"{doing}: {reason}", hint)


def _hint_of(reason: str, otherwise: str) -> str:
    return next((hint for words, hint in _HINTS_BY_WORDS.items() if words in reason), otherwise)


def _is_passing(error: errors.OperationFailure, code: int) -> bool:
    """A write concern that was not met says nothing of the documents: they are written again.

    Several updates in one command tell their reasons (``BulkWriteError``) one by one.
    """
    details = error.details or {}
    codes = {code, *(fault.get("code") for fault in details.get("writeErrors", ()))}
    is_concern = isinstance(error, errors.WriteConcernError) or details.get("writeConcernErrors")
    is_labelled = any(map(error.has_error_label, _PASSING_LABELS))
    is_full = _NO_ROOM in str(error)
    return bool(is_concern) or is_labelled or is_full or not codes.isdisjoint(_PASSING)


def _short(error: BaseException) -> str:
    """The driver's text without the topology dump it appends; of several reasons the first."""
    details = getattr(error, "details", None) or {}
    for reason in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
        return str(reason.get("errmsg"))[:300]
    text = str(error).split(", Timeout:")[0].split(", full error:")[0]
    return _COMMAND.sub(r"\1 on \2", _TIMEOUTS.sub("", text))[:300]


def faults_of(reply: Mapping[str, Any], collection: str) -> list[WriteFault]:
    """The documents that MongoDB did not take, as the reply to a write command tells them.

    Raises:
        StoreAway: it could not say, or not at this moment: the whole batch is to be written again.
    """
    concern = reply.get("writeConcernError")
    if concern:
        hint = _HINTS.get(concern.get("code"), _HINTS[64])
        raise StoreAway(f"writing to {collection}: {concern.get('errmsg')}", hint)
    faults = [_fault(error) for error in reply.get("writeErrors", ())]
    for fault in faults:
        if fault.code in _PASSING or _NO_ROOM in fault.message:  # told document by document
            hint = _hint_of(fault.message, _HINTS.get(fault.code, "it is tried again"))
            raise StoreAway(f"writing to {collection}: {fault.message}", hint)
    return faults


def _fault(error: Mapping[str, Any]) -> WriteFault:
    text = ": ".join(filter(None, (str(error.get("errmsg", "")), unsatisfied(error))))
    key = tuple(error.get("keyPattern", ()))
    if not key and "index: _id_ " in text:  # a mongos of 4.4 leaves the pattern out
        key = ("_id",)
    return WriteFault(error["index"], error["code"], text, key)
