"""Directories and configuration of one ingestd."""

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.reading import read, require
from ingestd.config.source import SourceSpec


@dataclass(frozen=True, slots=True)
class Deployment:
    """An ingestd of its own: everything lies under ``root``."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def staging(self) -> Path:
        """A directory on the inbox's file system, to rename files out of."""
        return self.root / "staging"

    def inbox(self, source: SourceSpec) -> Path:
        return self.root / "inbox" / Path(source.file_pattern).parent

    def sources(self) -> list[SourceSpec]:
        return list(require(read(self.config))[1])

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ingestd", *arguments, "--config", str(self.config)]


def make_deployment(root: Path, uri: str, sources: Mapping[str, str]) -> Deployment:
    """Write a configuration of these sources (name → TOML), with default settings."""
    deployment = Deployment(root)
    (deployment.config / "sources").mkdir(parents=True)
    deployment.staging.mkdir()
    sections: dict[str, dict[str, object]] = {
        "paths": {"root": str(root)}, "mongo": {"uri": uri}, "api": {"port": 0}
    }  # fmt: skip
    (deployment.config / "ingestd.toml").write_text(_as_toml(sections), encoding="utf-8")
    for name, text in sources.items():
        (deployment.config / "sources" / f"{name}.toml").write_text(text, encoding="utf-8")
    for source in deployment.sources():
        deployment.inbox(source).mkdir(parents=True)
    return deployment


def _as_toml(sections: dict[str, dict[str, object]]) -> str:
    """Strings and whole numbers are written alike in TOML and JSON."""
    lines: list[str] = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def read_source(file: Path) -> SourceSpec:
    """The one source in a file of ``sources``."""
    return SourceSpec.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def link_all(files: Sequence[Path], directory: Path) -> list[Path]:
    """The same files under names of their own in another directory of the file system."""
    links = [directory / file.name for file in files]
    for file, link in zip(files, links, strict=True):
        link.hardlink_to(file)
    return links
