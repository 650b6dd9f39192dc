"""One layout for several files: what they share, or why they need a source each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ingestd.errors import FileRefused
from ingestd.infer.layouts import Layout
from ingestd.infer.samples import Files
from ingestd.infer.summaries import shortest

_ASCII = "utf-8"


def shared_layout(layouts: Sequence[Layout], files: Files) -> Layout:
    """The layout of the first file, with the columns that all files have.

    Raises:
        FileRefused: one source cannot read all of them.
    """
    first = layouts[0]
    for layout, (path, _) in zip(layouts, files, strict=True):
        if difference := next(_differences(first, layout), None):
            raise unlike(path, files[0][0], difference)
    encodings = [layout.encoding for layout in layouts if layout.encoding != _ASCII]
    starts = {layout.outline.skip_lines for layout in layouts}
    comment = next((layout.comment for layout in layouts if layout.comment), "")
    common = set(first.names).intersection(*(layout.names for layout in layouts))
    shared = first.with_names([name for name in first.names if name in common])
    return replace(
        shared, encoding=encodings[0] if encodings else _ASCII, has_one_start=len(starts) == 1,
        comment=comment,
        skip_rows=shortest(text for layout in layouts for text in layout.skip_rows),
    )  # fmt: skip


def unlike(path: Path, first: Path, difference: str) -> FileRefused:
    """The file cannot be read like the first one, for this reason."""
    return FileRefused(
        "unlike_files", f"{path.name} is unlike {first.name}: {difference}",
        "infer a source for each of them",
    )  # fmt: skip


def left_out(layouts: Sequence[Layout], shared: Layout) -> list[str]:
    """The columns that only some of the files have."""
    every = dict.fromkeys(name for layout in layouts for name in layout.names)
    return [name for name in every if name not in shared.names]


def _differences(first: Layout, other: Layout) -> Iterator[str]:
    if other.is_named != first.is_named or other.outline.header_lines != first.outline.header_lines:
        yield "it has another header"
    if first.is_named and not set(first.names) & set(other.names):
        yield "no column has the same name"
    if not first.is_named and other.outline != first.outline:
        yield "without names for all columns the files have to be laid out alike"
    if other.encoding != first.encoding and _ASCII not in (other.encoding, first.encoding):
        yield f"its encoding is {other.encoding}, not {first.encoding}"
    if other.record_end != first.record_end:
        yield "its records end otherwise"
    if other.comment and first.comment not in ("", other.comment):
        yield f"its comments begin with {other.comment}"
