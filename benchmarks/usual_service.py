"""The service that teams put before such a collection: FastAPI and pymongo, a list of dicts.

Run as a module it serves, with the URI of MongoDB and the port: ``/data/orders?limit=N``.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from pymongo import MongoClient

from ingestd.config.settings import MongoSettings
from ingestd.demo.child import own_environment

_START_LIMIT_S = 30.0


def is_present() -> bool:
    """Whether it can run on this machine."""
    return bool(find_spec("fastapi") and find_spec("uvicorn"))


@contextmanager
def usual_service(uri: str) -> Iterator[str]:
    """The base URL of the service, which runs until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.usual_service", uri, str(port)]
    with subprocess.Popen(command, env=own_environment()) as process:
        try:
            _await_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


def _main(uri: str, port: str) -> None:
    import uvicorn  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    from fastapi import FastAPI  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    app = FastAPI()
    rows = MongoClient[dict[str, Any]](uri)[MongoSettings().database]["orders"]

    def get_orders(limit: int = 100) -> list[dict[str, Any]]:
        found = rows.find({}, limit=limit, sort=[("processed_at", 1), ("_id", 1)])
        return [{**row, "_id": str(row["_id"])} for row in found]

    app.get("/data/orders")(get_orders)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")


if __name__ == "__main__":
    _main(*sys.argv[1:])
