"""The sample files of the demo, of many kinds, each with what must become of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestd.records import FileState

_HEADER = "order_id,customer_id,created_at,amount,country,status,note\n"
_COUNTRIES = ("US", "GB", "DE", "FR", "NL", "JP")
_STATES = ("new", "paid", "shipped", "returned")
_START = datetime(2026, 1, 1)
_BAD_EVERY = 100

PRICE_COUNT = 600
"""Different keys in both files of prices together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, what is special about it, and how it must end."""

    source_name: str
    name: str
    what: str
    content: bytes
    state: FileState
    loaded: int = 0
    refused: int = 0


def make_samples(large_rows: int = 50_000) -> tuple[Sample, ...]:
    """In the order in which they are dropped: some make sense only after another."""
    monday = _orders(1000)
    return (
        Sample("orders", "monday.csv", "1,000 clean orders", monday, FileState.ARCHIVED, 1000),
        Sample("orders", "tuesday.csv", "a mistake in 7 of 10 rows", _with_mistakes(),
               FileState.ARCHIVED, 3, 7),
        Sample("orders", "wednesday.csv", "the column amount is missing", _without_amount(),
               FileState.FAILED),
        Sample("orders", "monday-again.csv", "the content of monday.csv", monday,
               FileState.DUPLICATE),
        Sample("prices", "prices-1.csv", "500 prices, upserted", _prices(0, 500, 10),
               FileState.ARCHIVED, 500),
        Sample("prices", "prices-2.csv", "200 of them changed, 100 new", _prices(300, 600, 12),
               FileState.ARCHIVED, 300),
        Sample("sensors", "halle-1.csv", "semicolons, decimal commas, cp1252", _readings(),
               FileState.ARCHIVED, 300),
        Sample("sensors", "halle-2.csv", "too many impossible values", _readings(celsius="999,9"),
               FileState.HELD, refused=300),
        Sample("orders", "big.csv", f"{large_rows:,} orders, 1 % bad",
               _orders(large_rows, _BAD_EVERY), FileState.ARCHIVED,
               large_rows - large_rows // _BAD_EVERY, large_rows // _BAD_EVERY),
    )  # fmt: skip


def _orders(count: int, bad_every: int = 0) -> bytes:
    """Orders; of every ``bad_every`` one has a negative amount."""
    return _HEADER.encode() + "".join(_order_lines(count, bad_every)).encode()


def _order_lines(count: int, bad_every: int) -> Iterable[str]:
    for n in range(1, count + 1):
        created = (_START + timedelta(seconds=37 * n)).isoformat()
        is_bad = bad_every and n % bad_every == 0
        amount = -1 if is_bad else 5 + n * 7919 % 99_500 / 100
        yield (
            f"A-{count + n},{n % 997 + 1},{created},{amount:.2f},{_COUNTRIES[n % 6]},"
            f"{_STATES[n % 4]},order {n} of {count}\n"
        )


def _with_mistakes() -> bytes:
    """Every second row is wrong in another way."""
    return _HEADER.encode() + b"".join((
        b"A-1,42,2026-01-06T09:30:00,199.99,DE,paid,fine\n",
        b"A-2,forty-two,2026-01-06T09:31:00,10.00,DE,new,customer_id is no number\n",
        b"A-3,42,2026-01-06T09:32:00,-5.00,DE,new,amount below zero\n",
        b"A-4,42,2026-01-06T09:33:00,10.00,XX,new,no such country\n",
        b'A-5,42,2026-01-06T09:34:00,20.00,FR,shipped,"fine, ""quoted"",\nand on two lines"\n',
        b"A-6,42,2026-01-06T09:35:00\n",
        b'A-7,42,2026-01-06T09:36:00,10.00,DE,new,a "stray quote\n',
        b"A-8,42,2026-01-06T09:37:00,10.00,DE,new,not UTF-8: \xff\xfe\n",
        b"A-9,,2026-01-06T09:38:00,10.00,DE,paid,paid by nobody\n",
        b"A-10,42,2026-01-06T09:39:00,30.00,JP,new,fine again\n",
    ))  # fmt: skip


def _without_amount() -> bytes:
    lines = (line.split(",") for line in _orders(20).decode().splitlines())
    return "".join(",".join(fields[:3] + fields[4:]) + "\n" for fields in lines).encode()


def _prices(first: int, last: int, factor: int) -> bytes:
    lines = (f"P-{n:04d},{(n + 1) * factor / 10:.2f}\n" for n in range(first, last))
    return b"sku,price\n" + "".join(lines).encode()


def _readings(celsius: str = "21,5") -> bytes:
    lines = (
        f"S-{n % 5};Köln-Süd;{n % 28 + 1:02d}.01.2026 {n % 24:02d}:00:00;{celsius}\n"
        for n in range(300)
    )
    return "".join(lines).encode("cp1252")
