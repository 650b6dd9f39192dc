"""The secret that signs cursors: in the database, so that all daemons and restarts share it."""

import secrets
from dataclasses import dataclass

from aiohttp import web

from ingestd.api.cursors import Seal
from ingestd.mongo import Mongo

_KEYS = "ingestd_keys"
_IDENTITY = "cursors"
_SECRET_BYTES = 32


@dataclass(slots=True)
class Seals:
    """Made by whoever needs it first."""

    mongo: Mongo
    _secret: bytes | None = None

    async def seal(self, scope: str) -> Seal:
        """What signs the cursors of a query."""
        if self._secret is None:
            self._secret = await self._read()
        return Seal(self._secret, scope)

    async def _read(self) -> bytes:
        known = await self.mongo.find_one(_KEYS, {"_id": _IDENTITY})
        if known is None:
            new = {"_id": _IDENTITY, "secret": secrets.token_bytes(_SECRET_BYTES)}
            await self.mongo.insert_missing(_KEYS, [new])
            return await self._read()  # somebody else may have been faster
        return bytes(known["secret"])


SEALS = web.AppKey("seals", Seals)
