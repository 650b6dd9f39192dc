"""What is known of every file: collection ``files``, one document per content and source.

The ledger decides whether a file is new, goes on, is a duplicate, or only has to be put away.
``processed_at`` rises strictly within a source: it is the order of arrival, the key of a file's
run in ``/data`` and, with the row number, the version that decides which row of an upsert wins.

Several processes may use one ledger: an entry names as its ``owner`` who has the file in hand.
"""

from ingestd.ledger.actions import Action, Actions, Asked
from ingestd.ledger.claim import Claim, Verdict, Wanted
from ingestd.ledger.claims import Claims
from ingestd.ledger.entry import (
    FILES,
    REPLACEMENT,
    SOURCES,
    as_claimed,
    as_counts,
    count_fields,
    now,
    path_fields,
    path_in,
    tries,
)
from ingestd.ledger.leases import THIS_PROCESS, Leases, Owner, name_of
from ingestd.ledger.ledger import BY_STATE, COLLECTIONS, Commit, Ending, Ledger
from ingestd.ledger.lookup import find_file, find_files
from ingestd.ledger.pauses import PAUSES, Pauses
from ingestd.ledger.trail import TRAIL, Asking, Trail

__all__ = [
    "BY_STATE",
    "COLLECTIONS",
    "FILES",
    "PAUSES",
    "REPLACEMENT",
    "SOURCES",
    "THIS_PROCESS",
    "TRAIL",
    "Action",
    "Actions",
    "Asked",
    "Asking",
    "Claim",
    "Claims",
    "Commit",
    "Ending",
    "Leases",
    "Ledger",
    "Owner",
    "Pauses",
    "Trail",
    "Verdict",
    "Wanted",
    "as_claimed",
    "as_counts",
    "count_fields",
    "find_file",
    "find_files",
    "name_of",
    "now",
    "path_fields",
    "path_in",
    "tries",
]
