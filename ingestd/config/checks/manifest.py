"""One side file at most for each file of a source."""

from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding


def check_manifest(draft: Draft) -> Iterator[Finding]:
    """A manifest says "complete", too."""
    if draft.spec.manifest and draft.spec.done_marker:
        hint = "remove it: files wait for their manifests"
        yield Finding(("done_marker",), "given, and a manifest, too", hint)
