"""The table of the README's section "How fast", from the JSON of a run.

``python -m benchmarks.readme result.json`` prints it as Markdown.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import NAMES

_HEAD = (
    "| file | loaded by | rows/s | of the ceiling | × pandas | CPU µs/row | peak memory |",  # noqa: RUF001
    "|---|---|--:|--:|--:|--:|--:|",
)


def as_markdown(results: dict[str, Any]) -> str:
    """All scenarios of a run as one table, and where it was run."""
    scenarios = {name: found for name, found in results.items() if _is_scenario(found)}
    rows = [line for name, found in scenarios.items() for line in _lines(name, found)]
    return "\n".join([*_HEAD, *rows, "", _place(results["machine"])])


def _is_scenario(found: object) -> bool:
    return isinstance(found, dict) and "what" in found


def _lines(name: str, found: dict[str, Any]) -> Iterator[str]:
    title = f"{name}: {found['what']}, {found['rows']:,} rows"
    for contestant in NAMES:
        if contestant in found:
            yield f"| {title} | {NAMES[contestant]} | {_cells(found[contestant])} |"
            title = ""


def _cells(figures: dict[str, Any]) -> str:
    forms = {
        "rows_per_s": ",.0f", "of_ceiling": ".2f", "of_pandas": ".1f",
        "client_cpu_us_per_row": ".1f", "peak_rss_mb": ",.0f",
    }  # fmt: skip
    cells = [
        format(figures[key]["median"], form) if key in figures else ""
        for key, form in forms.items()
    ]
    return " | ".join(cells) + " MB"


def _place(machine: dict[str, Any]) -> str:
    return (
        f"{machine['measured_at'][:10]}, {machine['cores']} cores ({machine['cpu']}), shared with "
        f"MongoDB {machine['mongod']}; Python {machine['python']}, Polars {machine['polars']}. "
        "Medians; memory is the RSS of all ingestd processes."
    )


if __name__ == "__main__":
    print(as_markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
