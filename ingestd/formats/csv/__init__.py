"""CSV (RFC 4180 and its usual dialects)."""

from ingestd.formats.csv.layout import lay_out
from ingestd.formats.csv.read import read

__all__ = ["lay_out", "read"]
