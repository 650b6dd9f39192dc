"""Clients that read while the daemon is killed; ``readers_under_kills.py`` does so at length."""

from harness import NewDaemon
from readers_under_kills import play


def test_no_client_sees_a_row_twice_or_one_of_a_held_file(new_daemon: NewDaemon) -> None:
    counts, wrong = play(new_daemon(), kills=2)
    assert not wrong
    assert counts["walks"] >= 1
    assert counts["exports"] >= 1
