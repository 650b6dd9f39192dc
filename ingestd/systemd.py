"""What systemd is told about the daemon: sd_notify(3) and sd_watchdog_enabled(3).

Outside systemd (no ``NOTIFY_SOCKET``) every call does nothing. A message that cannot be sent is
dropped: the manager notices silence by itself, and the work goes on.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import anyio

_SEND_LIMIT_S = 0.5


def ready() -> None:
    """Start-up is over: units ordered after this one may start."""
    _notify("READY=1")


def reloading() -> None:
    """The configuration is read again; ``ready`` says when that is over."""
    _notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """The daemon has begun to stop."""
    _notify("STOPPING=1")


def status(text: str) -> None:
    """One line for people, shown by ``systemctl status``."""
    _notify("STATUS=" + " ".join(text.split()))


def extend_timeout(seconds: float) -> None:
    """Ask for ``seconds`` more from now on, to start or to stop."""
    _notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")


async def feed_watchdog(is_alive: Callable[[], bool]) -> None:
    """Tell systemd, three times per watchdog period, that work moves on, as long as it does.

    Returns at once when no watchdog is asked for. A daemon that is no longer alive is not
    reported: systemd ends it when the period has passed (``WatchdogSec=``).
    """
    period_s = watchdog_period_s()
    while period_s is not None:
        if is_alive():
            _notify("WATCHDOG=1")
        await anyio.sleep(period_s / 3)


def watchdog_period_s() -> float | None:
    """How long systemd bears silence, seconds; None when it does not watch this process."""
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not is_ours or not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000


def _notify(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(_SEND_LIMIT_S)
        manager.sendto(message.encode(errors="replace"), address)
