"""The daemon's settings, one frozen section per stage. Sources are in ``source.py``."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestd.config.quantities import Bytes, Seconds


class Section(BaseModel):
    """A part of the settings: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class PathSettings(Section):
    """Where files come from and go to; everything left out lies under ``root``."""

    root: Path = Path("/var/lib/ingestd")
    inbox: Path | None = None
    archive: Path | None = None
    rejects: Path | None = None
    failed: Path | None = None
    mongo: Path | None = None
    allowed_roots: tuple[Path, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _place_under_root(cls, values: object) -> object:
        """Fill what was left out, and read relative paths as lying under ``root``."""
        if not isinstance(values, dict):
            return values
        root = Path(values.get("root") or cls.model_fields["root"].default).expanduser()
        placed = {**values, "root": root}
        for name in ("inbox", "archive", "rejects", "failed", "mongo"):
            placed[name] = root / Path(values.get(name) or name).expanduser()
        return placed

    def directory(self, name: Literal["inbox", "archive", "rejects", "failed", "mongo"]) -> Path:
        """The directory of that name, placed under ``root`` when it was left out."""
        path: Path = getattr(self, name)
        return path


class MongoSettings(Section):
    """Which MongoDB; without ``uri`` a private one is started."""

    uri: SecretStr | None = None
    database: str = Field(default="ingestd", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    timeout: Seconds = Field(default=5.0, gt=0)
    """How long one attempt looks for a usable server, seconds."""
    write_timeout: Seconds = Field(default=60.0, gt=0)
    embedded_cache: Bytes = Field(default=2**28, ge=2**28)
    """WiredTiger cache of the private MongoDB, bytes."""


class WatchSettings(Section):
    """How files are found and when they count as complete."""

    rescan_interval: Seconds = Field(default=2.0, gt=0)
    settle: Seconds = Field(default=0.1, ge=0)
    """How long a file must stay unchanged where Linux can tell that nobody writes to it."""
    settle_unproven: Seconds = Field(default=2.0, ge=0)
    """The same where it cannot tell (files of other users, network file systems)."""
    ignore: tuple[str, ...] = (".*", "*.tmp", "*.part", "*.filepart", "~*")


class RefineSettings(Section):
    """The worker processes and what they are given."""

    workers: int | None = Field(default=None, ge=1, le=256)
    chunk_bytes: Bytes = Field(default=2**21, ge=2**12, le=2**26)
    max_record_bytes: Bytes = Field(default=2**20, ge=2**10, le=2**23)
    chunk_timeout: Seconds = Field(default=300.0, gt=0)
    recycle_above: Bytes = Field(default=2**29, ge=2**27)
    """A worker whose resident memory exceeds this is replaced between two chunks, bytes."""


class LoadSettings(Section):
    """How documents go to MongoDB."""

    writers: int = Field(default=3, ge=1, le=64)
    batch_bytes: Bytes = Field(default=2**22, ge=2**16, le=12 * 2**20)
    batch_rows: int = Field(default=20_000, ge=1, le=100_000)
    files_at_once: int = Field(default=4, ge=1, le=256)
    memory: Bytes = Field(default=2**26, ge=2**22)
    """Most bytes of documents that wait for MongoDB at any moment."""
    checkpoint_interval: Seconds = Field(default=1.0, ge=0)


class ApiSettings(Section):
    """The HTTP server."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    query_timeout: Seconds = Field(default=10.0, gt=0)


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    error_file: Path | None = None
    """Errors are written here too; default ``errors.log`` under ``paths.root``."""


class ServiceSettings(Section):
    """Stopping."""

    drain_timeout: Seconds = Field(default=60.0, gt=0)


class Settings(BaseSettings):
    """All settings of one daemon. ``INGESTD_MONGO__URI`` in the environment sets ``mongo.uri``."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="INGESTD_",
        env_nested_delimiter="__",
        validate_default=True,
        nested_model_default_partial_update=True,
    )

    sources: str = "sources/*.toml"
    paths: PathSettings = PathSettings()
    mongo: MongoSettings = MongoSettings()
    watch: WatchSettings = WatchSettings()
    refine: RefineSettings = RefineSettings()
    load: LoadSettings = LoadSettings()
    api: ApiSettings = ApiSettings()
    logs: LogSettings = LogSettings()
    service: ServiceSettings = ServiceSettings()
