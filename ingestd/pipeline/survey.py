"""What must be known of a whole file before it is loaded: repeats, a sum, the error budget."""

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import numpy.typing as npt

from ingestd.config.naming import counted
from ingestd.config.source import SourceSpec
from ingestd.errors import FileHeld
from ingestd.formats.trailer import TRAILER_HINT
from ingestd.pipeline.chunks import ready_chunks
from ingestd.records import Chunk, Counts, FileLayout, Rejections
from ingestd.refine import Plan, Repeats, add_up, compile_source, digest_values, read_number, refine
from ingestd.rejections import head
from ingestd.workers import Workers, run_twice

_AHEAD = 4
"""Chunks that are in workers at once; more would only wait for them."""

_KEPT_REJECTIONS = 1000
"""Of a held file: enough to see what is wrong with it."""


async def find_repeats(plan: Plan, layout: FileLayout, workers: Workers) -> list[Repeats]:
    """Per chunk and unique column, the records (from 0) whose value stands in an earlier row.

    Memory: 16 bytes per row and unique column. Null never repeats.
    """
    parts: dict[str, list[npt.NDArray[np.uint64]]] = {}
    source = compile_source(plan.source).source
    chunks = ready_chunks(layout, layout.chunks, source, plan.limits)
    async for digests in _in_order(workers, lambda chunk: (digest_values, plan, chunk), chunks):
        for column, digest in digests.items():
            parts.setdefault(column, []).append(np.frombuffer(digest, np.uint64).reshape(-1, 2))
    repeated = {
        column: await anyio.to_thread.run_sync(_repeated_rows, np.concatenate(digests))
        for column, digests in parts.items()
    }
    first_row = layout.chunks[0].start.row
    return [_repeats_of(chunk, first_row, repeated) for chunk in layout.chunks]


def _repeated_rows(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Row numbers (from 0), ascending, of all but the first of equal digests."""
    order = np.lexsort((np.arange(len(digests)), digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    is_equal = (ordered[1:] == ordered[:-1]).all(axis=1) & ordered[1:].any(axis=1)
    rows: npt.NDArray[np.int64] = np.sort(order[1:][is_equal])
    return rows


def _repeats_of(
    chunk: Chunk, first_row: int, repeated: dict[str, npt.NDArray[np.int64]]
) -> Repeats:
    start, end = chunk.start.row - first_row, chunk.end.row - first_row
    return {
        column: frozenset(
            (rows[rows.searchsorted(start) : rows.searchsorted(end)] - start).tolist()
        )
        for column, rows in repeated.items()
    }


async def require_told_sum(plan: Plan, layout: FileLayout, workers: Workers) -> None:
    """Raises FileHeld when a column does not add up to what the trailer says."""
    source = compile_source(plan.source).source
    if layout.told_sum is None or source.trailer is None or source.trailer.sum is None:
        return
    column = source.trailer.sum.column
    told, total = read_number(source, column, layout.told_sum), Decimal(0)
    if told is None:
        message = f"the trailer says that {column} adds up to {layout.told_sum!r}, no number"
        raise FileHeld("bad_trailer", message, "does trailer.sum name the right field?")
    chunks = ready_chunks(layout, layout.chunks, source, plan.limits)
    async for part in _in_order(workers, lambda chunk: (add_up, plan, chunk, column), chunks):
        total += part
    if total != told:
        found = f"{column} adds up to {_plain(total)}, the trailer says {_plain(told)}"
        raise FileHeld("trailer_mismatch", found, TRAILER_HINT)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


async def try_whole_file(
    plan: Plan, layout: FileLayout, repeats: Sequence[Repeats | None], workers: Workers
) -> tuple[Counts, list[Rejections]]:
    """Refine all chunks without keeping documents; counts, and the first of the rejections."""
    counts, rejections = Counts(), list[Rejections]()
    left, source = iter(repeats), compile_source(plan.source).source
    calls = _in_order(
        workers, lambda chunk: (refine, plan, chunk, next(left)),
        ready_chunks(layout, layout.chunks, source, plan.limits),
    )  # fmt: skip
    async for refined in calls:
        if counts.error_count < _KEPT_REJECTIONS:
            rejections.append(head(refined.rejections, _KEPT_REJECTIONS - counts.error_count))
        counts += Counts(
            refined.chunk.row_count, refined.document_count, len(refined.rejections),
            refined.filtered_count,
        )  # fmt: skip
    return counts, rejections


def require_within_budget(counts: Counts, source: SourceSpec) -> None:
    """Raises FileHeld when more rows are refused than ``max_rate`` or ``max_rows`` allow."""
    refused, total = counts.error_count, counts.record_count
    limits = source.errors
    hint = (
        "see `ingestd errors --file FILE` for the reasons; mend the file or the rules and drop it "
        "again, or load what is good: ingestd retry FILE --ignore-budget"
    )
    found = f"{refused} of {total} rows are refused"
    if limits.max_rows is not None and refused > limits.max_rows:
        allowed = counted(limits.max_rows, "row")
        raise FileHeld("too_many_errors", f"{found}; allowed: {allowed}", hint)
    if limits.max_rate is not None and refused > limits.max_rate * total:
        raise FileHeld("too_many_errors", f"{found}; allowed: {limits.max_rate:.2%}", hint)


async def _in_order(
    workers: Workers,
    call_for: Callable[[Chunk], tuple[Any, ...]],
    chunks: AsyncIterator[Chunk],
) -> AsyncIterator[Any]:
    """Run the calls for all chunks, a few at once, and yield their results in order."""
    async for batch in _batches(chunks):
        results: list[Any] = [None] * len(batch)

        async def run(index: int, call: tuple[Any, ...], results: list[Any]) -> None:
            results[index] = await run_twice(workers, *call)

        async with anyio.create_task_group() as group:
            for index, chunk in enumerate(batch):
                group.start_soon(run, index, call_for(chunk), results)
        for result in results:
            yield result


async def _batches(chunks: AsyncIterator[Chunk]) -> AsyncIterator[list[Chunk]]:
    batch: list[Chunk] = []
    async for chunk in chunks:
        batch.append(chunk)
        if len(batch) == _AHEAD:
            yield batch
            batch = []
    if batch:
        yield batch
