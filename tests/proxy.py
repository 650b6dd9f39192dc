"""A TCP proxy before a mongod: the network's bad days, made at will.

Answers late, or never (half-open: packets vanish, nobody closes anything), or lost once what was
asked for is done; connections cut; and answers that say something else than the server did.
Connect with ``directConnection=true``: a driver that discovers hosts goes past the proxy.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_READ_BYTES = 2**18


@dataclass
class Proxy:
    """Listens on a port of its own until it is closed."""

    target_port: int
    delay_s: float = 0.0
    """How late answers come."""
    is_silent: bool = False
    """Nothing passes, in either direction; connections stay open, and new ones are taken."""
    rewrite: Callable[[bytes], bytes] = bytes
    """What becomes of the octets of an answer."""
    lost: dict[bytes, int] = field(default_factory=dict)
    """Part of a request, and how many times its answer is thrown away with the connection."""
    _links: list["_Link"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        links, self._links = self._links, []
        for link in links:
            link.cut()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target_port))
                link = _Link(self, client, server)
                self._links.append(link)
                link.start()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._loses_answer = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for pump in (self._pump_requests, self._pump_answers):
            threading.Thread(target=self._until_cut, args=[pump], daemon=True).start()

    def cut(self) -> None:
        """With a reset: nobody is told politely."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _until_cut(self, pump: Callable[[], None]) -> None:
        with suppress(OSError):
            pump()
        if not self._proxy.is_silent:
            self.cut()

    def _pump_requests(self) -> None:
        while octets := self._client.recv(_READ_BYTES):
            if self._proxy.is_silent:
                continue
            for part, times in list(self._proxy.lost.items()):
                if times and part in octets:
                    self._proxy.lost[part] = times - 1
                    self._loses_answer = True
            self._server.sendall(octets)

    def _pump_answers(self) -> None:
        while octets := self._server.recv(_READ_BYTES):
            if self._loses_answer:
                return
            time.sleep(self._proxy.delay_s)
            if not self._proxy.is_silent:
                self._client.sendall(self._proxy.rewrite(octets))
