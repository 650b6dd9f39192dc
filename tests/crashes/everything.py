"""The story in which sources of all kinds load at once; random kills strike it."""

from functools import cache

from crashes.stories import (
    AGAIN,
    ARCHIVE,
    BROKEN,
    COUNTED,
    FIRST,
    HELD,
    INDEXED,
    MONDAY,
    OF_MONDAY,
    OLD_PRICES,
    PRICES,
    REPLACING,
    SMALL,
    STRICT,
    TUESDAY,
    UNPACKED,
    UPSERT,
    Source,
    Story,
    dropped,
)  # fmt: skip
from crashes.worlds import Ended, rows

MANY_SMALL = [
    Ended(f"{n:03}.csv", rows(15, 5, first=100 * n), source="small") for n in range(1, 31)
]
LENIENT = Ended("lenient.csv", rows(50, 25), source="strict")


@cache
def everything(big_rows: int) -> Story:
    """Inserts, upserts, replacements, small files, an archive, and files that must not load."""
    big = Ended("big.csv", rows(big_rows, 50, first=10**6), source="large")
    before = [FIRST, OLD_PRICES, MONDAY]
    now = [big, *SMALL, *MANY_SMALL, BROKEN, HELD, LENIENT, COUNTED, PRICES, TUESDAY, AGAIN]
    return Story(
        "everything at once",
        [FIRST, OLD_PRICES, OF_MONDAY, *now, *UNPACKED],
        {**dropped(*now), "orders/all.zip": ARCHIVE, "counted/counted.csv.count": b"12"},
        [
            INDEXED, UPSERT, REPLACING, STRICT, Source("small"), Source("large"),
            Source("counted", top='[manifest]\nsuffix = ".count"'),
        ],
        {
            "refine.chunk_bytes": 2**15, "load.checkpoint_interval": 0.05,
            "load.batch_bytes": 2**16, "refine.workers": 2,
        },
        before=before,
        kept=[("orders", ARCHIVE), ("counted", b"12")],
    )  # fmt: skip
