"""The settings, layer by layer: defaults, TOML file, credential files, environment.

Each layer wins over those before it. A mistake is told where it was made: in a file, or in
a variable.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ingestd.config.documents import Document, read_document
from ingestd.config.environment import Override, merge, read_credentials, read_environment
from ingestd.config.explain import KeyPath, keys_of
from ingestd.config.naming import choice, dotted
from ingestd.config.salvage import salvage
from ingestd.config.settings import Settings
from ingestd.errors import Problem


def read_settings(directory: Path, main_file: Path | None) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings, as far as they can be used, and everything that is wrong with them."""
    document, problems = _read_main_file(main_file)
    values = _anchor_root(document, directory)
    overrides: list[Override] = []
    for found in (*_credentials(), *read_environment(os.environ)):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            overrides.append(found)
            values = merge(values, found.values)
    salvaged = salvage(Settings, values, {})
    for key, (message, hint) in salvaged.mistakes.items():
        place, name = _origin(key, overrides) or (str(main_file), dotted(key))
        problems.append(Problem(place, name, message, hint))
    return salvaged.value or Settings(), tuple(problems)


def _read_main_file(main_file: Path | None) -> tuple[Document, list[Problem]]:
    if main_file is None:
        return {}, []
    document = read_document(main_file)
    if isinstance(document, Problem):
        return {}, [document]
    if "file_pattern" in document:
        hint = "give the directory, or the main file, that this source belongs to"
        return {}, [Problem(str(main_file), "", "this is a source, not the main file", hint)]
    # pydantic-settings takes keys like _env_file as instructions, so they must not reach it.
    hidden = [key for key in document if key.startswith("_")]
    hint = choice(None, keys_of(Settings))
    problems = [Problem(str(main_file), dotted((key,)), "unknown key", hint) for key in hidden]
    return {key: value for key, value in document.items() if key not in hidden}, problems


def _anchor_root(document: Document, directory: Path) -> Document:
    """A relative ``paths.root`` in a file is meant from that file, not from where one stands."""
    paths = document.get("paths")
    root = paths.get("root") if isinstance(paths, dict) else None
    if not isinstance(root, str) or not root.strip() or root.startswith(("/", "~")):
        return document
    return merge(document, {"paths": {"root": str(directory / root)}})


def _credentials() -> list[Override | Problem]:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return list(read_credentials(Path(directory))) if directory else []


def _origin(key: KeyPath, overrides: Sequence[Override]) -> tuple[str, str] | None:
    """The place and name of the override that set ``key`` last."""
    return next(
        ((set_by.place, set_by.name) for set_by in reversed(overrides) if _sets(set_by, key)), None
    )


def _sets(override: Override, key: KeyPath) -> bool:
    node: object = override.values
    for part in key:
        if not isinstance(node, dict) or part not in node:
            return isinstance(part, int) and isinstance(node, list)
        node = node[part]
    return True
