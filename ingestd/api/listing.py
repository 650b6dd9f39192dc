"""The rows of one source as a list: which of them a reader may see, and how they are shown."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from aiohttp import web

from ingestd.api.context import CONTEXT, ApiContext, Columns
from ingestd.api.cursors import Key
from ingestd.api.filters import chosen_columns, column_conditions
from ingestd.api.problems import bad_parameter, rows_changed
from ingestd.api.query import ListQuery
from ingestd.api.rows import Item, Renderer, row_renderer
from ingestd.api.sorts import ARRIVING, Sort, read_sort
from ingestd.api.sources import named_source
from ingestd.api.walks import Walk
from ingestd.config.source import SourceSpec
from ingestd.ledger import FILES
from ingestd.mongo import Document, Reads
from ingestd.visible import VisibleRuns, are_whole, visible_files, visible_runs


@dataclass(slots=True)
class RowListing:
    """The rows of one source that match a query, as far as they may be seen."""

    context: ApiContext
    source_name: str
    query: ListQuery
    columns: Columns
    conditions: list[Document]
    sort: Sort = ARRIVING
    is_of_file: bool = False
    """Whether only the rows of one file are asked for."""
    runs: VisibleRuns | None = None
    """What was visible when the walk began. It only ever narrows: no row comes twice, not even
    one that a later file of an ``upsert`` source has moved to another run."""
    began: VisibleRuns | None = None
    """What was visible at the first walk of this request."""
    files: dict[datetime, Document] = field(default_factory=dict)
    _seen: VisibleRuns | None = None
    """What was looked at for the walk that comes next."""

    @property
    def source(self) -> SourceSpec:
        return self.context.sources[self.source_name]

    @property
    def is_by_identity(self) -> bool:
        """Whether the order of arrival does not matter, and neither does what had arrived when the
        walk began: upserted rows move to a later run while they are read, and keep their ``_id``.
        """
        is_of_runs = self.sort.is_by_arrival or self.is_of_file or bool(self.query.bounds())
        return self.source.load.mode == "upsert" and not is_of_runs

    @property
    def is_open(self) -> bool:
        """Whether rows may have columns that the schema does not know, and all are asked for."""
        is_adding = self.source.load.on_new_column == "add"
        return is_adding and self.columns is self.context.schemas[self.source_name]

    @property
    def render(self) -> Renderer:
        """The rows of documents, as runs have them."""
        return row_renderer(self.columns, is_open=self.is_open)

    async def keep_to_file(self, file_id: str) -> None:
        """Rows of that file only."""
        match = {"_id": file_id, "source_name": self.source_name}
        file = await self.context.mongo.find_one(
            FILES, match, max_time_ms=self.context.time_limit_ms
        )
        if file is None:
            detail = f"source {self.source_name} has no such file"
            raise bad_parameter("file_id", detail, f"see /files?source={self.source_name}")
        self.conditions.append({"processed_at": file["processed_at"]})
        self.is_of_file = True

    async def look(self, reads: Reads) -> VisibleRuns | None:
        """What may be seen now; the next walk goes by it."""
        limit_ms = self.context.time_limit_ms
        self._seen = await visible_runs(reads, self.source, maxTimeMS=limit_ms)
        return self._seen

    async def walk(self, reads: Reads, after: Key | None) -> Walk | None:
        """The way on, under what is visible now and was when the walk began."""
        now, self._seen = self._seen or await self.look(reads), None
        if now is None:
            return None
        self.runs = now if self.runs is None else now.narrowed(self.runs)
        self.began = self.began or self.runs
        shown = (*self.columns, *self.sort.columns, "processed_at")
        fields = None if self.is_open else dict.fromkeys(shown, 1)
        seen = () if self.is_by_identity else (self.runs.as_condition(),)
        return Walk(
            reads=reads,
            collection=self.source_name,
            time_field="processed_at",
            time_limit_ms=self.context.time_limit_ms,
            conditions=(*seen, *self.query.bounds(), *self.conditions),
            projection=fields,
            sort=self.sort.columns,
            is_descending=self.sort.is_descending,
            is_by_identity=self.is_by_identity,
            after=after,
        )

    async def kept(self, reads: Reads, items: list[Item]) -> list[Item]:
        """Without rows whose file was undone while they were read."""
        moments = {item.key.moment for item in items}
        self.files = await self._visible_files(reads, moments)
        return [item for item in items if item.key.moment in self.files]

    async def require_whole(self) -> None:
        """Raises RequestRefused (503): rows have been taken away or added since the first walk."""
        reads, limit_ms = self.context.mongo, self.context.time_limit_ms
        if self.began and not await are_whole(reads, self.source, self.began, max_time_ms=limit_ms):
            raise rows_changed(self.source_name)

    async def visible(self, runs: Iterable[datetime]) -> Set[datetime]:
        """Those of the runs whose rows may be seen now."""
        return (await self._visible_files(self.context.mongo, runs)).keys()

    async def _visible_files(
        self, reads: Reads, runs: Iterable[datetime]
    ) -> dict[datetime, Document]:
        limit_ms = self.context.time_limit_ms
        return await visible_files(reads, self.source, runs, max_time_ms=limit_ms)

    def shown(self, items: list[Item]) -> list[Document]:
        """The list of runs, the newest file last."""
        if self.is_by_identity and not self.sort.columns:
            items = sorted(items, key=lambda item: item.key.moment)
        runs = groupby(items, key=lambda item: item.key.moment)
        return [self._run(moment, rows) for moment, rows in runs]

    def _run(self, moment: datetime, items: Iterable[Item]) -> Document:
        file = self.files[moment]
        return {
            "source_name": self.source_name, "processed_at": moment,
            "record_count": file["record_count"], "success_count": file["success_count"],
            "error_count": file["error_count"], "filtered_count": file["filtered_count"],
            "file": file["name"], "file_id": file["_id"], "data": [item.shown for item in items],
        }  # fmt: skip


async def read_listing(
    request: web.Request, query: ListQuery, parameters: Iterable[str]
) -> RowListing:
    """The rows that the rest of the parameters ask for; ``parameters`` are those there are."""
    context, source_name = request.app[CONTEXT], named_source(request)
    schema, file_id = context.schemas[source_name], query.filters.pop("file_id", None)
    columns = chosen_columns(query.filters.pop("fields", None), schema)
    sort = read_sort(query.filters.pop("sort", None), context.sources[source_name], schema)
    conditions = column_conditions(query.filters.items(), schema, parameters)
    listing = RowListing(context, source_name, query, columns, conditions, sort)
    if file_id is not None:
        await listing.keep_to_file(file_id)
    return listing
