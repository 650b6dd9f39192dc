"""Whether the header of a CSV file fits its source."""

from ingestd.config.source import SourceSpec
from ingestd.formats.drift import check_drift, drift_of


def check_columns(found: tuple[str, ...], source: SourceSpec) -> None:
    """Raises FileDrifted when the source does not take a file with these columns."""
    check_drift(drift_of(found, source), found, source, _hint(found, source))


def _hint(found: tuple[str, ...], source: SourceSpec) -> str:
    """Why no column may have been recognized."""
    if any("\0" in name for name in found):
        return 'there are zero bytes in it: is csv.encoding "utf-16"?'
    if len(found) == 1:
        return f"only one column was found: is {source.csv.delimiter!r} the delimiter?"
    return ""
