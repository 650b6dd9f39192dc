"""A MongoDB that wants TLS: what is told of clients that come without it, or do not trust it."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme
from harness import Mongod, wait_for

from ingestd.config.settings import MongoSettings
from ingestd.errors import StoreAway
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import Document, Mongo


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    own, trusted = directory / "own.pem", directory / "trusted.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    authority.cert_pem.write_to_path(str(trusted))
    arguments = [
        "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(own),
        "--tlsCAFile", str(trusted), "--tlsAllowConnectionsWithoutCertificates",
    ]  # fmt: skip
    mongod = Mongod(directory / "data", is_replica_set=False, arguments=arguments).launch()
    try:
        wait_for(lambda: listens(mongod.port), "mongod")
        yield mongod
    finally:
        mongod.stop()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


async def connect(secured: Mongod, options: str) -> list[Document]:
    """What is in a collection that nobody wrote to."""
    settings = MongoSettings(timeout=0.5)
    mongo = Mongo(f"{secured.uri}{options}", settings, Events(Metrics()))
    try:
        await mongo.connect()
        return await mongo.find("nothing", {})
    finally:
        mongo.close()


@pytest.mark.parametrize(
    ("options", "told", "hint"),
    [
        ("", "connection closed", "tls=true in mongo.uri"),
        ("&tls=true", "CERTIFICATE_VERIFY_FAILED", "tlsCAFile in mongo.uri"),
    ],
    ids=["plain", "not trusted"],
)
async def test_a_client_that_does_not_fit_is_told_what_to_change(
    secured: Mongod, options: str, told: str, hint: str
) -> None:
    with pytest.raises(StoreAway, match=told) as caught:
        await connect(secured, options)
    assert hint in caught.value.hint


async def test_a_client_that_trusts_the_authority_gets_in(secured: Mongod) -> None:
    options = f"&tls=true&tlsCAFile={secured.directory.parent / 'trusted.pem'}"
    assert await connect(secured, options) == []
