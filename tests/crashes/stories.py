"""The situations in which steps are taken, and how each must end whatever was killed in it."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from crashes.witness import Strike, Victim
from crashes.worlds import HEADER, Ended, World, expected, rows

SCHEMA = """
name = "{name}"
file_pattern = "{name}/*"
{top}
[schema]
id = "int64"
amount = "float64"
note = "string"
[validation_rules.amount]
min = {least}
{tables}
"""


@dataclass(frozen=True)
class Source:
    """A source of rows of three columns."""

    name: str = "orders"
    tables: str = ""
    """Tables of its file, such as ``[load]``."""
    top: str = ""
    least: int = 0

    @property
    def text(self) -> str:
        """Its file."""
        return SCHEMA.format(name=self.name, top=self.top, tables=self.tables, least=self.least)


@dataclass(frozen=True)
class Story:
    """Files that lie in the inbox when the daemon starts, or a command, and how it must end."""

    told: str
    """What happens, as a person says it."""
    ended: Sequence[Ended]
    """Every file of the ledger in the end, in order of arrival."""
    drops: Mapping[str, bytes]
    """Path below the inbox, and content."""
    sources: Sequence[Source] = (Source(),)
    options: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Ended] = ()
    """Loaded earlier, in peace."""
    ruins: tuple[Strike, ...] = ()
    """A start that was struck so comes first: what follows is a start-up after a crash."""
    command: Sequence[str] = ()
    """What is struck instead of the daemon; afterwards the daemon starts, and it runs again."""
    new_sources: Sequence[Source] | None = None
    """Those when the command runs."""
    late: Mapping[str, bytes] = field(default_factory=dict)
    """Dropped when all that is done."""
    manual: Mapping[str, bytes] = field(default_factory=dict)
    """Files outside the inbox that the command is given."""
    kept: Sequence[tuple[str, bytes]] = ()
    """What has no entry and ends in archive/, too: archives and manifests, by source."""
    stops_at: Strike | None = None
    """The daemon is told to stop there: what is struck later is its shut-down."""
    is_elsewhere: bool = False
    """The archive lies on another file system."""
    besides: Sequence[Victim] = ()
    """What else is killed at its steps, while the daemon lives on."""

    @property
    def upserted(self) -> list[str]:
        """The sources of which the later row of an id wins."""
        return [source.name for source in self.sources if "upsert" in source.tables]

    @cached_property
    def world(self) -> World:
        """What must be in the end."""
        return expected(self.ended, self.upserted, self.kept)


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def dropped(*ended: Ended) -> dict[str, bytes]:
    """These files, as they are dropped."""
    return {f"{one.source}/{one.name}": one.content for one in ended}


EVERY_CHUNK = {"refine.chunk_bytes": 2**12, "load.checkpoint_interval": 0}
INDEXED = Source(tables='[load]\nindexes = [["note"]]')
NOT_NULL = "[validation_rules.id]\nnot_null = true\n"
UPSERT = Source("prices", tables=NOT_NULL + '[load]\nmode = "upsert"\nkey = ["id"]')
REPLACING = Source("daily", tables='[load]\non_changed_file = "replace"')
STRICT = Source("strict", tables="[errors]\nmax_rows = 5")
NO_SUCH_COLUMN = b"id,note\n1,a\n"

BIG = Ended("big.csv", rows(600, 40))
MANY_REFUSED = Ended("many.csv", rows(3000, 2, note="n" * 60))
PRICES = Ended("new.csv", rows(300, 0) + rows(100, 0, note="later")[len(HEADER) :], source="prices")
OLD_PRICES = Ended("old.csv", rows(50, 0, note="old"), source="prices")
SMALL = [Ended(f"{n:02}.csv", rows(8, 4, first=1000 * n)) for n in range(1, 10)]
BROKEN = Ended("broken.csv", NO_SUCH_COLUMN, "failed")
HELD = Ended("held.csv", rows(400, 20), "held", "strict")
FIRST = Ended("first.csv", rows(20, 5))
AGAIN = Ended("again.csv", FIRST.content, "duplicate")
REFUSED_AGAIN = Ended("again.csv", FIRST.content, "failed", errors={})
MONDAY = Ended("day.csv", rows(30, 6), source="daily")
TUESDAY = Ended("day.csv", rows(40, 8, first=100), source="daily")
OF_MONDAY = Ended("day.csv", MONDAY.content, "undone", "daily", has_rows=False, errors={})
MEMBERS = {"may.csv": rows(150, 30), "june.csv": rows(5, 0, first=500), "x.csv": b"id,note\n2,b\n"}
ARCHIVE = zipped(MEMBERS)
UNPACKED = [
    Ended(f"all.zip/{name}", content, "failed" if name == "x.csv" else "archived")
    for name, content in MEMBERS.items()
]
COUNTED = Ended("counted.csv", rows(12, 4), source="counted")
BATCH = "rows: a batch is inserted"

STORIES = {
    "load": Story(
        "a file of several chunks, some of its rows refused", [BIG], dropped(BIG), [INDEXED],
        EVERY_CHUNK, besides=("workers", "mongod"),
    ),
    "many refused": Story(
        "so many refused rows that they go to disk, and are read back from MongoDB after a kill",
        [MANY_REFUSED],
        dropped(MANY_REFUSED), options={"refine.chunk_bytes": 2**15},
    ),
    "other disk": Story(
        "the archive lies on another file system", [BIG], dropped(BIG), is_elsewhere=True,
    ),
    "upsert": Story(
        "rows that replace others, within the file and of an earlier one", [OLD_PRICES, PRICES],
        dropped(PRICES), [UPSERT], EVERY_CHUNK, before=[OLD_PRICES],
        besides=("mongod",),
    ),
    "small files": Story(
        "small files, which go together, and one among them that cannot be loaded",
        [*SMALL, BROKEN], dropped(*SMALL, BROKEN), besides=("workers", "mongod"),
    ),
    "archive": Story(
        "a zip archive of three files, one of which cannot be loaded", UNPACKED,
        {"orders/all.zip": ARCHIVE}, options=EVERY_CHUNK, kept=[("orders", ARCHIVE)],
    ),
    "failed": Story("a file that cannot be loaded", [BROKEN], dropped(BROKEN)),
    "held": Story(
        "more rows refused than the source allows", [HELD], dropped(HELD), [STRICT], EVERY_CHUNK
    ),
    "duplicate": Story(
        "the same content again", [FIRST, AGAIN], dropped(AGAIN), before=[FIRST]
    ),
    "refused duplicate": Story(
        "the same content again, which the source does not allow", [FIRST, REFUSED_AGAIN],
        dropped(REFUSED_AGAIN), [Source(tables='[load]\non_duplicate_file = "fail"')],
        before=[FIRST],
    ),
    "changed file": Story(
        "a new version of a file takes the place of the old one", [OF_MONDAY, TUESDAY],
        dropped(TUESDAY), [REPLACING], before=[MONDAY],
    ),
    "manifest": Story(
        "a file with a manifest beside it", [COUNTED],
        {**dropped(COUNTED), "counted/counted.csv.count": b"12"},
        [Source("counted", top='[manifest]\nsuffix = ".count"')], kept=[("counted", b"12")],
    ),
    "start-up in mid-load": Story(
        "a start after a crash in the middle of a file", [BIG], dropped(BIG), [INDEXED],
        EVERY_CHUNK, ruins=(Strike(BATCH, 2, "after"),), besides=("mongod",),
    ),
    "start-up in mid-move": Story(
        "a start after a crash between the move and its note", [OF_MONDAY, TUESDAY],
        dropped(TUESDAY), [REPLACING], before=[MONDAY],
        ruins=(Strike("files: rename inbox → archive", 1, "after"),),
    ),
    "start-up after the commit": Story(
        "a start after a crash just behind the commit of a file that replaces another",
        [OF_MONDAY, TUESDAY], dropped(TUESDAY), [REPLACING], before=[MONDAY],
        ruins=(Strike("rows: those of a file are removed", 1, "before"),),
    ),
    "shut-down": Story(
        "SIGTERM in the middle of a file, and little time to finish it", [BIG], dropped(BIG),
        [INDEXED], {**EVERY_CHUNK, "service.drain_timeout": 0.2, "load.writers": 1},
        stops_at=Strike(BATCH, 2, "after", "stop"),
    ),
}  # fmt: skip

UNDONE = Ended("first.csv", FIRST.content, "undone", has_rows=False, errors={})
REPLACED = UNDONE
CORRECTED = Ended("corrected.csv", rows(25, 0, note="right"))
FREED = Ended(
    "held.csv", HELD.content, source="strict",
    errors={0: "replayed", **dict.fromkeys(HELD.refused, "open")},
)  # fmt: skip
MENDABLE = Ended("big.csv", BIG.content.replace(b"\n40,-1,", b"\n40,-2,"))
REPLAYED = Ended(
    "big.csv", MENDABLE.content, least=-1,
    errors={row: "open" if row == 40 else "replayed" for row in MENDABLE.refused},
)  # fmt: skip
DISMISSED = Ended("first.csv", FIRST.content, errors=dict.fromkeys(FIRST.refused, "dismissed"))

STORIES |= {
    "undo": Story(
        "`ingestd undo`", [UNDONE], {}, before=[FIRST], command=["undo", "first.csv"]
    ),
    "replay": Story(
        "`ingestd replay` by new rules, of which one row fails again", [REPLAYED], {},
        options=EVERY_CHUNK, before=[MENDABLE],
        command=["replay", "big.csv"], new_sources=[Source(least=-1)],
    ),
    "retry": Story(
        "`ingestd retry` of a held file", [FREED], {}, [STRICT], EVERY_CHUNK, before=[HELD],
        command=["retry", "held.csv", "--ignore-budget"],
    ),
    "dismiss": Story(
        "`ingestd dismiss`", [DISMISSED], {}, before=[FIRST],
        command=["dismiss", "first.csv", "--reason", "known"],
    ),
    "forget": Story(
        "`ingestd forget`, and the file again", [FIRST], {}, before=[FIRST],
        command=["forget", "first.csv"], late=dropped(FIRST), kept=[("orders", FIRST.content)],
    ),
    "replace": Story(
        "`ingestd replace` by a corrected file", [REPLACED, CORRECTED], {}, before=[FIRST],
        command=["replace", "first.csv", "{manual}/corrected.csv", "--archive"],
        manual={"corrected.csv": CORRECTED.content},
    ),
}  # fmt: skip
