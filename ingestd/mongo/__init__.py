"""The only package that speaks to MongoDB: connection, the few operations we need, error mapping.

Motor is what the project uses; its vendor has deprecated it in favour of PyMongo's own async
API (critical fixes end 2027-05-14). The day that must change, this package changes and no other.
Which answer leads to what is decided elsewhere; here an answer only becomes one of our errors.
"""

from ingestd.mongo.answers import WriteFault
from ingestd.mongo.client import Mongo, ServerInfo
from ingestd.mongo.reads import Reads
from ingestd.mongo.replica_set import ensure_replica_set
from ingestd.mongo.rows import Document, row_id, rows_of
from ingestd.mongo.sequence import DocumentSequence

__all__ = [
    "Document",
    "DocumentSequence",
    "Mongo",
    "Reads",
    "ServerInfo",
    "WriteFault",
    "ensure_replica_set",
    "row_id",
    "rows_of",
]
