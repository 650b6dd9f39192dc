"""Attempts with wrong tokens: counted per address, each answered later than the one before.

Only wrong tokens are slowed. To shut out their address would shut out everybody behind the same
proxy for one program with an old token; and there is nothing to guess in 256 random bits.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict

_MOST_ADDRESSES = 10_000
_MOST_WAITING = 64
_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S = 2.0
_FORGOTTEN_AFTER_S = 600.0
_IPV6_NETWORK = 64
"""Bits that belong to one household, which may take any address of it."""


class Attempts:
    """The failures of each address, as many as are kept in mind: those that failed last."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    def note(self, address: str) -> int:
        """One more failure; returns how many it are of that address."""
        place, now = _network_of(address), time.monotonic()
        count, failed_at = self._failures.pop(place, (0, now))
        count = 1 if now - failed_at > _FORGOTTEN_AFTER_S else count + 1
        self._failures[place] = (count, now)
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)
        return count

    async def slow_down(self, times: int) -> bool:
        """Wait, the longer the more failures; False, at once, where too many wait already."""
        if self._waiting >= _MOST_WAITING:
            return False
        self._waiting += 1
        try:
            await asyncio.sleep(min(_FIRST_DELAY_S * 2 ** min(times, 10), _LONGEST_DELAY_S))
        finally:
            self._waiting -= 1
        return True


def _network_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False).network_address)
