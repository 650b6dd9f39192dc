"""Entity tags: whether what a client has is still what it would get (RFC 9110, section 13).

A tag stands for the request, for how rows are shown, and for the rows that may be seen: those of
the runs up to a horizon without the hidden ones, and how often rows of these were added or taken
away by a person. It is read before the rows are: at worst an answer is newer than its tag. Rows
of ``upsert`` sources change while a file loads; they have no tag.
"""

from hashlib import blake2b

from aiohttp import hdrs, web

from ingestd import __version__
from ingestd.api.listing import RowListing
from ingestd.mongo import Reads

_KEPT = "private, no-cache"
"""It may be kept, and is asked for again each time."""


async def tag_of(request: web.Request, listing: RowListing, reads: Reads) -> str | None:
    """The weak tag of the answer: compressed or not, it says the same."""
    if listing.source.load.mode == "upsert":
        return None
    runs = await listing.look(reads)
    parts = (
        __version__, listing.context.desk.rules(listing.source).config_hash,
        listing.query.format.name, sorted(request.query.items()),
        runs and (runs.horizon, sorted(runs.hidden), runs.changes),
    )  # fmt: skip
    return f'W/"{blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def tag_headers(tag: str | None) -> dict[str, str]:
    """What an answer with this tag says of itself."""
    return {} if tag is None else {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: _KEPT}


def is_known(request: web.Request, tag: str | None) -> bool:
    """Whether the client has an answer of this tag; ``*`` means any."""
    given = request.if_none_match or ()
    return tag is not None and any(
        known.value in ("*", tag.removeprefix("W/").strip('"')) for known in given
    )
