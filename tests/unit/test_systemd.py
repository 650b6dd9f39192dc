"""What reaches systemd, and what happens when it is not there."""

import os
import socket
from collections.abc import Iterator
from uuid import uuid4

import anyio
import pytest

from ingestd import systemd


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notification socket, in the abstract namespace."""
    name = f"ingestd-test-{uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        yield end


def messages(manager: socket.socket) -> list[str]:
    received = []
    while True:
        try:
            received.append(manager.recv(4096).decode())
        except BlockingIOError:
            return received


def test_each_state_is_one_message(manager: socket.socket) -> None:
    systemd.ready()
    systemd.status("3 files\nREADY=1")
    systemd.extend_timeout(1.5)
    systemd.stopping()
    assert messages(manager) == [
        "READY=1",
        "STATUS=3 files READY=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1",
    ]


@pytest.mark.parametrize("address", [None, "", "relative", "@nobody-listens-here", "/none/here"])
def test_nothing_happens_without_a_manager(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    open_before = os.listdir("/proc/self/fd")
    systemd.ready()
    assert os.listdir("/proc/self/fd") == open_before


def test_manager_that_does_not_read_cannot_hold_the_daemon_up(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_SEND_LIMIT_S", 0.001)
    for _ in range(100):
        systemd.ready()
    assert 0 < len(messages(manager)) < 100


async def test_watchdog_is_fed_only_while_work_moves_on(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    answers = iter([True, True, False, False, True])

    async with anyio.create_task_group() as tasks:

        def is_alive() -> bool:
            try:
                return next(answers)
            except StopIteration:
                tasks.cancel_scope.cancel()
                return False

        tasks.start_soon(systemd.feed_watchdog, is_alive)
    assert messages(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    ("microseconds", "pid", "period_s"),
    [
        ("30000000", "this", 30.0),
        ("30000000", None, 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_watchdog_period_is_for_this_process_only(
    microseconds: str | None,
    pid: str | None,
    period_s: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = str(os.getpid()) if pid == "this" else pid
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_period_s() == period_s


async def test_feeding_ends_at_once_without_a_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    asked: list[None] = []
    await systemd.feed_watchdog(lambda: asked.append(None) or True)
    assert asked == []
