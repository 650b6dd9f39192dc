"""Ask a live daemon for whatever its OpenAPI document allows, and for much that it does not.

    python tests/api_requests.py --requests 20000

schemathesis makes the requests: from the examples and limits of the document, at random, and in
sequences that go on with what earlier answers told. Half of them reach a daemon that takes anybody,
the other half one that asks for tokens. Ends with 1 when an answer is not in the document, is a
5xx, or lets somebody in without a token. Not collected by pytest: ``test_generated_requests.py``
has the same in small.
"""

import argparse
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from crash_matrix import scratch_directory
from harness import DaemonProcess, Mongod
from orders import SOURCE, write_orders

from ingestd.access import Kind, Scope, TokenFile, new_token

EVERY = """
name = "every"
file_pattern = "every/*.csv"
[schema]
string = "string"
bool = "bool"
int8 = "int8"
int64 = "int64"
uint32 = "uint32"
float32 = "float32"
float64 = "float64"
decimal = { type = "decimal", scale = 2 }
date = "date"
datetime = "datetime"
time = "time"
duration = { type = "duration" }
json = "json"
binary = "binary"
objectid = "objectid"
[load]
indexes = [["int64"], ["string", "date"]]
"""
"""A column of every type."""
EVERY_ROWS = (
    b"string,bool,int8,int64,uint32,float32,float64,decimal,date,datetime,time,duration,json,"
    b"binary,objectid\n"
    b'"=a, b",true,-1,9007199254740993,7,0.1,1e300,0.10,2026-01-31,2026-01-31T08:00:00Z,08:00:00,'
    b'PT1H,"{""a"": [1]}",YWJj,0123456789abcdef01234567\n'
    b",,,,,,,,,,,,,,\n,x,,,,,,,,,,,,,\n"
)
PRICES = """
name = "prices"
file_pattern = "prices/*.csv"
[schema]
id = "int64"
price = "float64"
[load]
mode = "upsert"
key = ["id"]
[validation_rules.id]
not_null = true
"""
SOURCES = (SOURCE.format(top=""), EVERY, PRICES)
_CANNOT_BE_TOLD = "positive_data_acceptance"
"""No schema says that a cursor is signed, or that an option is one of CSV."""
_EXAMPLES = 50
"""Of each operation in one run."""


@contextmanager
def loaded_daemon(daemon: DaemonProcess) -> Iterator[DaemonProcess]:
    """A daemon with rows, rejections and files in several states; it takes anybody."""
    orders = write_orders(daemon.directory / "orders.csv", 300, bad_rate=0.1)
    try:
        daemon.configure(*SOURCES).start()
        for name, content in (
            ("orders/monday.csv", orders.path), ("every/rows.csv", EVERY_ROWS),
            ("prices/new.csv", b"id,price\n1,2\n2,3\n1,5\n,4\n"), ("prices/empty.csv", b""),
        ):  # fmt: skip
            daemon.drop(name, content)
        daemon.wait_for(lambda: len(daemon.files(state="archived")) == 3, "all to be loaded")
        daemon.wait_for_file("empty.csv", "failed")
        yield daemon
        assert daemon.stop() == 0
    finally:
        daemon.clean_up()


def ask_for_a_token(daemon: DaemonProcess) -> str:
    """Start it anew, so that it takes nobody without a token; one for everything."""
    assert daemon.stop() == 0
    token, text = new_token("requests", [Scope(kind) for kind in Kind], None)
    TokenFile(daemon.root).add(token)
    daemon.options = {**daemon.options, "api.allow_anonymous": False}
    daemon.configure(*SOURCES).start()
    return text


def ask(daemon: DaemonProcess, token: str | None, *options: str) -> bool:
    """One run of schemathesis; whether it found nothing."""
    run = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{url_of(daemon)}/openapi.json",
        f"--exclude-checks={_CANNOT_BE_TOLD}", "--continue-on-failure", "--warnings=off",
        "--suppress-health-check=all", "--no-color", "--request-timeout=40",
        "--exclude-path-regex=/pause$",  # of a paused source no upload would ever be loaded
        *options,
    ]  # fmt: skip
    if token is not None:
        run.append(f"--header=Authorization: Bearer {token}")
    return subprocess.run(run, cwd=daemon.directory, check=False).returncode == 0


def answers(daemon: DaemonProcess, token: str | None = None) -> Counter[int]:
    """By status, how many requests the daemon has answered since it was started."""
    header = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url_of(daemon)}/metrics", headers=header)
    with urllib.request.urlopen(request, timeout=20) as reply:
        series = re.findall(r'(?m)^ingestd_http_requests_total{.*status="(\d+)"} (.*)$',
                            reply.read().decode())  # fmt: skip
    found = Counter[int]()
    for status, count in series:
        found[int(status)] += int(float(count))
    return found


def url_of(daemon: DaemonProcess) -> str:
    return str(daemon.log("ingestd started")[-1]["url"])


def wrong_answers(daemon: DaemonProcess, token: str | None, requests: int) -> Iterator[str]:
    """Ask until so many requests were answered; what is wrong with the answers."""
    before, seed = answers(daemon, token), 0
    while (answers(daemon, token) - before).total() < requests:
        seed += 1
        if not ask(daemon, token, f"--seed={seed}", f"--max-examples={_EXAMPLES}"):
            yield f"seed {seed}: see above"
    found = answers(daemon, token) - before
    print(f"{'a token' if token else 'anybody'}: {dict(sorted(found.items()))}")
    yield from (f"{count} times {status}" for status, count in found.items() if status >= 500)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    requests = parser.parse_args().requests
    with scratch_directory("api-requests-") as directory:
        mongod = Mongod(directory / "mongod").start()
        try:
            with loaded_daemon(DaemonProcess(directory, mongod.uri)) as daemon:
                wrong = list(wrong_answers(daemon, None, requests // 2))
                wrong += wrong_answers(daemon, ask_for_a_token(daemon), requests // 2)
        finally:
            mongod.stop()
    print(*(wrong or ["all is well"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
