"""Making a single mongod a replica set: transactions and majority writes need one."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import errors

from ingestd.errors import StoreAway
from ingestd.mongo.answers import errors_mapped
from ingestd.mongo.rows import Document


async def ensure_replica_set(port: int) -> None:
    """Make the mongod on that loopback port a one-node replica set, whatever port it had before.

    Raises:
        StoreAway: it did not become primary in a minute.
        StoreRefused: it does not take the configuration.
    """
    client: Any = AsyncIOMotorClient(
        f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=20_000
    )
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    deadline = time.monotonic() + 60
    try:
        with errors_mapped("setting up the private MongoDB"):
            while not await _is_primary(client.admin, member):
                if time.monotonic() > deadline:
                    raise StoreAway(
                        "the private MongoDB is no primary after 60 s", "see mongod.log"
                    )
                await asyncio.sleep(0.02)
    finally:
        client.close()


async def _is_primary(admin: Any, member: Document) -> bool:
    """Ask, and take the next step when it is not."""
    with suppress(errors.AutoReconnect):  # a new configuration closes connections
        if (await admin.command("hello")).get("isWritablePrimary"):
            return True
        await _configure_member(admin, member)
    return False


async def _configure_member(admin: Any, member: Document) -> None:
    try:
        stored = (await admin.command("replSetGetConfig"))["config"]
    except errors.OperationFailure as error:
        if error.code != 94:  # NotYetInitialized
            raise
        await _initiate(admin, member)
        return
    if [m["host"] for m in stored["members"]] != [member["host"]]:
        changed = {"_id": stored["_id"], "version": stored["version"] + 1, "members": [member]}
        await admin.command("replSetReconfig", {**stored, **changed}, force=True)


async def _initiate(admin: Any, member: Document) -> None:
    try:
        await admin.command("replSetInitiate", {"_id": "ingestd", "members": [member]})
    except errors.OperationFailure as error:
        if error.code != 23:  # AlreadyInitialized: it was still reading its configuration
            raise
