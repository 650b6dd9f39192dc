"""Daemons that share an inbox: they split the work, and take over what one leaves that dies.

In small what ``tests/several_daemons.py`` does in large.
"""

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import wait_for
from several_daemons import Feed, Several, disturb

LEASE_S = 1.0


@pytest.fixture
def several(tmp_path: Path, mongo_uri: str, database: str) -> Iterator[Several]:
    several = Several(tmp_path, mongo_uri, database, options={"refine.workers": 1})
    several.lease_s = LEASE_S
    yield several.start()
    several.clean_up()


def test_three_daemons_load_each_row_of_an_inbox_once_whoever_dies_or_sleeps(
    several: Several,
) -> None:
    feed = Feed(files=150, rows=400)
    feed.drop(several)
    done = disturb(several, 0.3, random.Random())
    assert feed.mistakes(several) == []
    assert done


def test_a_daemon_tells_who_it_is_and_who_else_is_there(several: Several) -> None:
    first = several.daemons[0]
    assert first.process
    assert first.check("lease")["details"]["owner"].endswith(f":{first.process.pid}")
    feed = Feed(files=3, rows=20_000)
    feed.drop(several)
    wait_for(lambda: first.check("lease")["details"]["others"], "the others")
    wait_for(several.is_done, "all files")
    assert feed.mistakes(several) == []
    for daemon in several.daemons:
        daemon.signal(signal.SIGTERM)
    assert [daemon.wait() for daemon in several.daemons] == [0, 0, 0]
    with several.store() as store:
        assert store["ingestd_leases"].count_documents({}) == 0
