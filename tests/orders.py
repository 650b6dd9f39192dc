"""Order files whose right outcome is known row by row, and the check that it came about."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient

HEADER = "order_id,customer_id,created_at,amount,country,status,quantity,note,is_gift,discount\n"
SOURCE = """
name = "orders"
file_pattern = "orders/**/*.csv"
{top}

[schema]
order_id = "string"
customer_id = "int64"
created_at = "datetime"
amount = "float64"
country = "string"
status = "category"
quantity = "int32"
note = "string"
is_gift = "bool"
discount = "float64"

[validation_rules.amount]
not_null = true
min = 0
max = 100_000
"""
BAD_AMOUNTS = ("-5", "abc", "999999999", "", "1,2,3,4")
"""Out of range twice, no number, null, and too many fields."""


@dataclass
class Orders:
    """What becomes of a file: the amount of each good row, the text of each bad one."""

    path: Path
    amounts: list[float | None] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    """Row (from 1) to its line in the file."""

    @property
    def rows(self) -> int:
        return len(self.amounts)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "record_count": self.rows, "success_count": self.rows - len(self.refused),
            "error_count": len(self.refused), "filtered_count": 0,
        }  # fmt: skip

    @property
    def rejects(self) -> str:
        """The rejects file."""
        return HEADER + "".join(self.refused.values())


def write_orders(path: Path, rows: int, bad_rate: float = 0.01, seed: int = 1) -> Orders:
    """Write a file of orders, the same for the same arguments.

    Records of two lines are good ones: what is wrong with one line is told of that line alone.
    """
    chance = random.Random(seed)
    orders = Orders(path)
    with path.open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for number in range(1, rows + 1):
            amount: float | None = chance.randrange(1_000_000) / 100
            text = f"{amount:.2f}"
            if chance.random() < bad_rate and number % 1000:
                amount, text = None, chance.choice(BAD_AMOUNTS)
            line = _line(number, text, chance.randrange(100_000))
            stream.write(line)
            orders.amounts.append(amount)
            if amount is None:
                orders.refused[number] = line
    return orders


def _line(number: int, amount: str, customer: int) -> str:
    note = '"two\nlines"' if number % 1000 == 0 else f"customer {customer} street"
    moment = f"2026-01-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:00"
    return (
        f"{order_id(number)},{customer},{moment},{amount},{['US', 'GB', 'DE'][number % 3]},"
        f"{['paid', 'new', 'shipped'][number % 3]},{number % 9 + 1},{note},"
        f"{'true' if number % 2 else 'false'},{number % 10 / 20}\n"
    )


def order_id(number: int) -> str:
    return f"ORD-{number:08d}"


def mistakes(orders: Orders, uri: str, database: str, root: Path) -> list[str]:
    """What is not as it must be after the file was loaded into an empty database; nothing, if all
    is well."""
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        store = client[database]
        files = list(store["files"].find())
        if len(files) != 1:
            return [f"{len(files)} files in the ledger"]
        (file,) = files
        found = [f"ledger: state {file['state']}"] if file["state"] != "archived" else []
        wanted = orders.counts
        counts = {name: file[name] for name in wanted}
        found += [] if counts == wanted else [f"ledger: {counts}, not {wanted}"]
        found += _wrong_rows(orders, file, store["orders"])
        found += _wrong_errors(orders, file, store["errors"])
    return found + list(_wrong_places(orders, file, root))


def _wrong_rows(orders: Orders, file: dict[str, Any], collection: Any) -> list[str]:
    found = []
    fields = {"order_id": 1, "amount": 1, "processed_at": 1}
    stored = collection.find({}, fields, sort=[("_id", 1)], batch_size=20_000)
    good = ((n, amount) for n, amount in enumerate(orders.amounts, 1) if amount is not None)
    for number, amount in good:
        document = next(stored, None)
        wanted = {
            "_id": bytes.fromhex(f"{file['_id']}{number:08x}"), "order_id": order_id(number),
            "amount": amount, "processed_at": file["processed_at"],
        }  # fmt: skip
        if document is None or {**document, "_id": document["_id"].binary} != wanted:
            found.append(f"row {number}: {document}")
            break
    extra = sum(1 for _ in stored)
    return found + ([f"{extra} documents too many"] if extra else [])


def _wrong_errors(orders: Orders, file: dict[str, Any], collection: Any) -> list[str]:
    found = []
    documents = list(collection.find({}, {"row": 1, "raw": 1}, sort=[("_id", 1)]))
    refused = {document["row"]: document["raw"] + "\n" for document in documents}
    if len(documents) != len(orders.refused) or refused != orders.refused:
        found.append(f"{len(documents)} errors, not {len(orders.refused)}, or others")
    strangers = [d for d in documents if d["_id"].binary[:8].hex() != file["_id"]]
    return found + [f"errors of another file: {d}" for d in strangers[:3]]


def _wrong_places(orders: Orders, file: dict[str, Any], root: Path) -> Iterator[str]:
    archived = files_below(root / "archive")
    if [str(path) for path in archived] != [file["archived_to"]]:
        yield f"archived: {archived}, the ledger says {file['archived_to']}"
    elif archived[0].read_bytes() != orders.path.read_bytes():
        yield "the archived file is not what was dropped"
    rejects = files_below(root / "rejects")
    texts = [path.read_text(encoding="utf-8") for path in rejects]
    if texts != ([orders.rejects] if orders.refused else []):
        yield f"rejects files: {rejects}"
    if left := files_below(root / "inbox") + files_below(root / "failed"):
        yield f"left behind: {left}"


def files_below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())
