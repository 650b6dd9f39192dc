"""Three mongods as one replica set that elects a new primary within about a second."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from signal import SIGKILL

from harness import Mongod, wait_for
from pymongo.errors import PyMongoError

_CHECKPOINTS = ("--syncdelay", "5")
"""Seconds: a member that was killed writes all since its last checkpoint again, before it may vote;
with the default, 60, that takes longer than the pause between two kills."""
_SETTINGS = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 250}


@dataclass
class ReplicaSet:
    """Members lie below ``directory``; any of them may be killed, and started again."""

    directory: Path
    oplog_mb: int = 256
    members: list[Mongod] = field(default_factory=list)

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/?replicaSet=tests"

    def start(self) -> "ReplicaSet":
        for number in range(3):
            member = Mongod(
                self.directory / str(number), oplog_mb=self.oplog_mb, arguments=_CHECKPOINTS
            )
            self.members.append(member.launch())
        wait_for(lambda: all(map(_is_up, self.members)), "three mongods")
        members = [
            {"_id": number, "host": f"127.0.0.1:{member.port}"}
            for number, member in enumerate(self.members)
        ]
        config = {"_id": "tests", "members": members, "settings": _SETTINGS}
        self.members[0].command({"replSetInitiate": config})
        self.wait_for_primary()
        wait_for(lambda: len(self.secondaries()) == 2, "two secondaries")
        return self

    def primary(self) -> Mongod | None:
        """The member that takes writes, if one does."""
        return next((m for m in self.members if _is(m, "isWritablePrimary")), None)

    def wait_for_primary(self) -> Mongod:
        primary = wait_for(self.primary, "a primary")
        assert primary
        return primary

    def secondaries(self) -> list[Mongod]:
        return [member for member in self.members if _is(member, "secondary")]

    def primary_and_others(self) -> tuple[Mongod, list[Mongod]]:
        """The others need not be of any use at this moment."""
        primary = self.wait_for_primary()
        return primary, [member for member in self.members if member is not primary]

    def kill_primary(self) -> Mongod:
        """``kill -9``; the member can be launched again."""
        primary = self.wait_for_primary()
        primary.signal(SIGKILL)
        return primary

    def elect_no_sooner_than(self, timeout_s: float) -> None:
        """For so long a primary stays one without the others."""
        primary = self.wait_for_primary()
        config = primary.command({"replSetGetConfig": 1})["config"]
        config["settings"]["electionTimeoutMillis"] = round(timeout_s * 1000)
        config["version"] += 1
        primary.command({"replSetReconfig": config})

    def forget_primary(self, others: Sequence[Mongod]) -> None:
        """Kill it, and start the others, which elect one of them: what they have not heard of is
        rolled back when it comes back."""
        self.kill_primary()
        for other in others:
            other.launch()
        self.step_up(*others)

    def step_up(self, *candidates: Mongod) -> None:
        """Let one of them become primary: one that has heard less than another is not elected."""
        turns = cycle(candidates)
        wait_for(lambda: _steps_up(next(turns)), "a new primary")

    def stop(self) -> None:
        for member in self.members:
            member.stop()


def _is_up(member: Mongod) -> bool:
    return _is(member, "ok")


def _is(member: Mongod, what: str) -> bool:
    assert member.process
    if member.process.poll() is None:
        with suppress(Exception):
            return bool(member.command({"hello": 1}).get(what))
    return False


def _steps_up(member: Mongod) -> bool:
    with suppress(PyMongoError):
        member.command({"replSetStepUp": 1})
    return _is(member, "isWritablePrimary")
