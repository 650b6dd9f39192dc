"""Scopes, tokens and addresses: what covers what, and who needs none."""

import pytest

from ingestd.access import ANYBODY, Kind, Principal, Scope, is_local, new_token, parse_scope
from ingestd.access.tokens import split_token
from ingestd.api.attempts import Attempts
from ingestd.config.settings import ApiSettings


@pytest.mark.parametrize("text", ["read", "read:orders", "ingest", "operate:a-b", "metrics"])
def test_scopes_read_as_they_are_written(text: str) -> None:
    assert str(parse_scope(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raed", 'did you mean "read"'), ("", "there is no scope ''"), ("read:", "is no scope"),
        ("metrics:orders", "is no scope"), ("Read", "there is no scope"), ("*", "there is no"),
    ],
)  # fmt: skip
def test_what_is_no_scope_is_told_with_those_there_are(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_scope(text)


def test_a_scope_of_one_source_covers_no_other_and_no_other_kind() -> None:
    reader = Principal("x", (parse_scope("read:orders"),))
    assert reader.may(Kind.READ, "orders")
    assert reader.may(Kind.READ)
    assert not reader.may(Kind.READ, "order")
    assert not reader.may(Kind.OPERATE, "orders")
    assert reader.sources(Kind.READ) == ["orders"]
    assert reader.sources(Kind.INGEST) == []
    assert reader.knows("orders")
    assert not reader.knows("returns")


def test_a_scope_without_a_source_covers_all() -> None:
    operator = Principal("x", (Scope(Kind.OPERATE),))
    assert operator.may(Kind.OPERATE, "orders")
    assert operator.sources(Kind.OPERATE) is None
    assert all(ANYBODY.may(kind, "orders") for kind in Kind)


def test_only_the_whole_secret_fits_and_is_not_kept() -> None:
    token, text = new_token("ci", [Scope(Kind.READ)], None)
    identity, secret = split_token(text)
    assert identity == token.id
    assert token.fits(secret)
    assert not any(
        token.fits(wrong) for wrong in (secret[:-1], secret + "A", "", secret.swapcase())
    )
    assert secret not in token.model_dump_json()


def test_two_tokens_of_one_name_share_nothing() -> None:
    (one, _), (other, _) = new_token("ci", [], None), new_token("ci", [], None)
    assert one.id != other.id
    assert one.salt != other.salt


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("[::1]", True),
        ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False),
        ("ingestd.example.org", False), ("localhost.example.org", False),
        ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_only_the_loopback_is_local(host: str, expected: bool) -> None:
    assert is_local(ApiSettings(host=host)) is expected


def test_a_unix_socket_is_local_whatever_the_host() -> None:
    assert is_local(ApiSettings.model_validate({"host": "0.0.0.0", "socket": "api.sock"}))


def test_failures_are_counted_per_address_and_per_network_of_ipv6() -> None:
    attempts = Attempts()
    assert [attempts.note("10.0.0.1") for _ in range(3)] == [1, 2, 3]
    assert attempts.note("10.0.0.2") == 1
    assert attempts.note("2001:db8::1") == 1
    assert attempts.note("2001:db8::ffff:2") == 2
    assert attempts.note("2001:db8:0:1::1") == 1


def test_memory_of_failures_is_bounded_and_keeps_the_last() -> None:
    attempts = Attempts()
    for number in range(10_500):
        attempts.note(f"10.1.{number // 256}.{number % 256}")
    assert len(attempts._failures) == 10_000
    assert attempts.note("10.1.41.3") == 2
    assert attempts.note("10.1.0.0") == 1
