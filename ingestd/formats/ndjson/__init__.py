"""NDJSON: one JSON object (RFC 8259) per line. Nested values stay what they are, as JSON text.

A key that a row lacks is null there; keys that the schema does not know are left out.
"""

from ingestd.formats.ndjson.layout import lay_out
from ingestd.formats.ndjson.read import blank_row, read

__all__ = ["blank_row", "lay_out", "read"]
