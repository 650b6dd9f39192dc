"""Short blocking calls for several files in one turn of a thread."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio.to_thread

Result = TypeVar("Result")


async def run_errands(errands: Sequence[Callable[[], Result]]) -> list[Result | Exception]:
    """Do all of them; per errand its result, or its error."""
    if not errands:
        return []
    return await anyio.to_thread.run_sync(_do_all, errands, abandon_on_cancel=True)


async def run_errand(errand: Callable[[], Result]) -> Result:
    """Do one; raises its error."""
    return await anyio.to_thread.run_sync(errand)


def _do_all(errands: Sequence[Callable[[], Result]]) -> list[Result | Exception]:
    results: list[Result | Exception] = []
    for errand in errands:
        try:
            results.append(errand())
        except Exception as error:  # noqa: BLE001 - whose errand it was, raises it
            results.append(error)
    return results
