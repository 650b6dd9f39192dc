"""CSV (RFC 4180 and its usual dialects)."""

from ingestd.formats.csv.layout import lay_out
from ingestd.formats.csv.read import blank_row, read

__all__ = ["blank_row", "lay_out", "read"]
