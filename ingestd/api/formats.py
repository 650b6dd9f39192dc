"""Which form an answer takes: ``?format=`` decides, else the ``Accept`` header (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ingestd.api.problems import ProblemDocument, RequestRefused, bad_parameter, choices, shown


@dataclass(frozen=True, slots=True)
class Format:
    """One form of an answer. ``is_streamed``: it may be as long as it likes."""

    name: str
    content_type: str
    is_streamed: bool = True
    aliases: tuple[str, ...] = ()
    parameters: str = ""
    """Of the media type."""

    @property
    def header(self) -> dict[str, str]:
        """The header that says so."""
        return {"Content-Type": self.content_type + self.parameters}


JSON = Format("json", "application/json", is_streamed=False)
NDJSON = Format(
    "ndjson", "application/x-ndjson",
    aliases=("application/ndjson", "application/jsonl", "application/x-jsonlines"),
)  # fmt: skip
CSV = Format("csv", "text/csv", parameters="; charset=utf-8; header=present")
ARROW = Format("arrow", "application/vnd.apache.arrow.stream")
PARQUET = Format("parquet", "application/vnd.apache.parquet", aliases=("application/x-parquet",))

Formats = Mapping[str, Format]
"""By the name that ``?format=`` knows it by; the first is the default."""

LISTS: Formats = {form.name: form for form in (JSON, NDJSON)}
"""What every list comes in."""
ROWS: Formats = {**LISTS, **{form.name: form for form in (CSV, ARROW, PARQUET)}}
"""What rows come in."""

_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


def choose_format(name: str | None, accept: str, formats: Formats) -> Format:
    """The form of the answer, one of these.

    Raises:
        RequestRefused: 400 for an unknown name, 406 when nothing acceptable is available.
    """
    if name is not None:
        if name not in formats:
            detail = f"format {shown(name)!r} is not available"
            raise bad_parameter("format", detail, more=choices(name, formats))
        return formats[name]
    qualities = read_qualities(accept or "*/*")
    best = max(formats.values(), key=lambda form: _quality(form, qualities))
    if _quality(best, qualities) > 0:
        return best
    types = [form.content_type for form in formats.values()]
    raise RequestRefused(
        ProblemDocument(
            406, "not-acceptable", "Not acceptable",
            "none of the accepted media types is available",
            "send Accept: application/json, or ?format=json", {"allowed": types},
        )
    )  # fmt: skip


def read_qualities(header: str) -> dict[str, float]:
    """What a header accepts, to its quality; without one that is 1."""
    qualities = {}
    for entry in header.split(","):
        media_range, *parameters = entry.split(";")
        found = [match for text in parameters if (match := _QUALITY.fullmatch(text))]
        qualities[media_range.strip().lower()] = float(found[0][1]) if found else 1.0
    return qualities


def _quality(form: Format, qualities: dict[str, float]) -> float:
    """That of the most specific range that has the form in it."""
    group = form.content_type.partition("/")[0]
    for media_range in (form.content_type, *form.aliases, f"{group}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0
