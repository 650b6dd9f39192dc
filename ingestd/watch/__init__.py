"""From directories to settled files: what lies in the inboxes, and when each file is complete."""

from ingestd.watch.findings import NOBODY
from ingestd.watch.patterns import Pattern, compile_pattern
from ingestd.watch.problems import PathProblem
from ingestd.watch.watcher import Watcher

__all__ = ["NOBODY", "PathProblem", "Pattern", "Watcher", "compile_pattern"]
