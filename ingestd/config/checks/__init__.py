"""What fields of one source must agree on. Each check looks at a draft and yields its findings."""

from collections.abc import Callable, Iterator

from ingestd.config.checks.columns import check_columns
from ingestd.config.checks.csv import check_csv
from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.checks.fixed import check_fixed
from ingestd.config.checks.load import check_load
from ingestd.config.checks.manifest import check_manifest
from ingestd.config.checks.rules import check_rules
from ingestd.config.checks.trailer import check_trailer
from ingestd.config.naming import dotted
from ingestd.errors import Problem

CHECKS: tuple[Callable[[Draft], Iterator[Finding]], ...] = (
    check_csv,
    check_fixed,
    check_columns,
    check_rules,
    check_load,
    check_manifest,
    check_trailer,
)


def check_source(draft: Draft) -> Iterator[Problem]:
    """Every disagreement inside one source."""
    for check in CHECKS:
        for finding in check(draft):
            key = dotted(finding.key)
            yield Problem(str(draft.file), key, finding.message, finding.hint)
