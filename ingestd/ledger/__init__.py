"""What is known of every file: collection ``files``, one document per content and source.

The ledger decides whether a file is new, goes on, is a duplicate, or only has to be put away.
``processed_at`` rises strictly within a source: it is the order of arrival, the key of a file's
run in ``/data`` and, with the row number, the version that decides which row of an upsert wins.
"""

from ingestd.ledger.actions import Action, Actions, Asked
from ingestd.ledger.claims import Claim, Claims, Verdict, Wanted
from ingestd.ledger.entry import (
    FILES,
    SOURCES,
    as_claimed,
    as_counts,
    count_fields,
    now,
    path_fields,
    path_in,
)
from ingestd.ledger.ledger import BY_STATE, Commit, Ending, Ledger

__all__ = [
    "BY_STATE",
    "FILES",
    "SOURCES",
    "Action",
    "Actions",
    "Asked",
    "Claim",
    "Claims",
    "Commit",
    "Ending",
    "Ledger",
    "Verdict",
    "Wanted",
    "as_claimed",
    "as_counts",
    "count_fields",
    "now",
    "path_fields",
    "path_in",
]
