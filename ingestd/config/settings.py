"""The daemon's settings, one frozen section per stage. Sources are in ``source.py``."""

import os
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ingestd.config.quantities import Bytes, Seconds
from ingestd.config.values import ConfiguredPath, Database, MongoUri, Origin, SocketMode


class Section(BaseModel):
    """A part of the settings: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


def default_root() -> Path:
    """``$STATE_DIRECTORY`` (systemd sets it), the system's state directory, else the user's."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    system = Path("/var/lib/ingestd")
    if os.access(system if system.exists() else system.parent, os.W_OK):
        return system
    user = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not user.is_absolute():
        user = _expand("~/.local/state")
    return user / "ingestd" if user.is_absolute() else system


def _expand(path: str | Path) -> Path:
    """Like ``Path.expanduser``, which raises where there is no home directory."""
    return Path(os.path.expanduser(path))


class PathSettings(Section):
    """Where files come from and go to. Absolute once read: relative ones lie under ``root``."""

    root: ConfiguredPath = Field(default_factory=default_root)
    inbox: ConfiguredPath = Path("inbox")
    archive: ConfiguredPath = Path("archive")
    rejects: ConfiguredPath = Path("rejects")
    failed: ConfiguredPath = Path("failed")
    unpacked: ConfiguredPath = Path("unpacked")
    """Where the files of an archive lie until they are loaded."""
    mongo: ConfiguredPath = Path("mongo")
    allowed_roots: tuple[ConfiguredPath, ...] = ()
    """Directories outside ``inbox`` in which sources may watch, too."""

    @field_validator("root")
    @classmethod
    def _make_absolute(cls, path: Path) -> Path:
        return _expand(path).absolute()

    @field_validator("inbox", "archive", "rejects", "failed", "unpacked", "mongo", "allowed_roots")
    @classmethod
    def _place_under_root(cls, value: Path | tuple[Path, ...], info: ValidationInfo) -> object:
        root = info.data.get("root", Path("/"))
        if isinstance(value, Path):
            return root / _expand(value)
        return tuple(root / _expand(path) for path in value)


class MongoSettings(Section):
    """Which MongoDB; without ``uri`` a private one is started."""

    uri: MongoUri | None = None
    database: Database = "ingestd"
    timeout: Seconds = Field(default=5.0, gt=0)
    """How long one attempt looks for a usable server, seconds."""
    write_timeout: Seconds = Field(default=60.0, gt=0)
    embedded_cache: Bytes = Field(default=2**28, ge=2**28)
    """WiredTiger cache of the private MongoDB, bytes."""


class WatchSettings(Section):
    """How files are found and when they count as complete."""

    rescan_interval: Seconds = Field(default=2.0, gt=0)
    settle: Seconds = Field(default=0.05, ge=0)
    """How long a file must stay unchanged where Linux can tell that nobody writes to it."""
    settle_unproven: Seconds = Field(default=2.0, ge=0)
    """The same where it cannot tell (files of other users, network file systems)."""
    ignore: tuple[str, ...] = (".*", "*.tmp", "*.part", "*.filepart", "~*")


class RefineSettings(Section):
    """The worker processes and what they are given."""

    workers: int | None = Field(default=None, ge=1, le=256)
    chunk_bytes: Bytes = Field(default=2**21, ge=2**12, le=2**26)
    max_record_bytes: Bytes = Field(default=2**23, ge=2**10, le=2**23)
    max_unpacked_bytes: Bytes = Field(default=2**40, ge=2**20)
    max_unpack_ratio: int = Field(default=1000, ge=1)
    """Most bytes of content per byte of a compressed file; 32 MiB are always allowed."""
    chunk_timeout: Seconds = Field(default=300.0, gt=0)
    recycle_above: Bytes = Field(default=2**29, ge=2**27)
    """A worker whose resident memory exceeds this is replaced between two chunks, bytes."""


class LoadSettings(Section):
    """How documents go to MongoDB."""

    writers: int = Field(default=3, ge=1, le=64)
    batch_bytes: Bytes = Field(default=2**22, ge=2**16, le=12 * 2**20)
    batch_rows: int = Field(default=20_000, ge=1, le=100_000)
    files_at_once: int = Field(default=64, ge=1, le=256)
    large_files_at_once: int = Field(default=4, ge=1, le=256)
    """Files larger than one chunk, besides those."""
    memory: Bytes = Field(default=2**26, ge=2**22)
    """Most bytes of documents that wait for MongoDB at any moment."""
    checkpoint_interval: Seconds = Field(default=1.0, ge=0)


class LedgerSettings(Section):
    """How several daemons share one MongoDB."""

    lease: Seconds = Field(default=60.0, ge=1)
    """Who is not heard of for so long has lost the files it had in hand."""


class RetentionSettings(Section):
    """For how long things are kept; ``None``: for ever. By the age of the file they belong to."""

    archive: Seconds | None = Field(default=None, ge=86_400)
    rejects: Seconds | None = Field(default=None, ge=86_400)
    errors: Seconds | None = Field(default=None, ge=86_400)
    ledger: Seconds | None = Field(default=None, ge=86_400)
    """What identifies a file's content is kept all the same: it never comes again as new."""


class ApiSettings(Section):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    socket: ConfiguredPath | None = None
    """A Unix socket instead of host and port; in ``Settings`` absolute, as all paths."""
    socket_mode: SocketMode = "0660"
    allow_anonymous: bool | None = None
    """Whether requests need no token; ``None``: where only this machine can send them."""
    tls_certificate: ConfiguredPath | None = None
    tls_key: ConfiguredPath | None = None
    tls_client_ca: ConfiguredPath | None = None
    max_connections: int = Field(default=1000, ge=1, le=100_000)
    idle_timeout: Seconds = Field(default=75.0, gt=0)
    """How long a connection may take until a whole request head is there."""
    stall_timeout: Seconds = Field(default=60.0, gt=0)
    """How long a client may send nothing of a body, or take nothing of an answer."""
    max_url: Bytes = Field(default=2**14, ge=2**10, le=2**20)
    max_header: Bytes = Field(default=2**13, ge=2**10, le=2**20)
    max_headers: int = Field(default=64, ge=16, le=1024)
    max_body: Bytes = Field(default=2**20, ge=2**10, le=2**26)
    max_upload: Bytes = Field(default=2**34, ge=2**10)
    keep_audit: Seconds = Field(default=90 * 86400.0, ge=60)
    query_timeout: Seconds = Field(default=10.0, gt=0)
    queries_at_once: int = Field(default=32, ge=1, le=1000)
    exports_at_once: int = Field(default=4, ge=1, le=100)
    """Answers with all rows, which last as long as their reader takes."""
    cors_origins: tuple[Origin, ...] = ()
    """Origins whose pages may read, or ``*`` for all."""


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    error_file: ConfiguredPath = Path("errors.log")
    """Errors are written here too; in ``Settings`` absolute: a relative one lies under the root."""


class ServiceSettings(Section):
    """Stopping."""

    drain_timeout: Seconds = Field(default=60.0, gt=0)


class Settings(BaseSettings):
    """All settings of one daemon.

    Built directly, it is exactly what it is given; ``reading.py`` adds the environment.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="INGESTD_",
        env_nested_delimiter="__",
        validate_default=True,
    )

    sources: str = Field(default="sources/*.toml", min_length=1)
    """Glob of the source files, relative to the main file's directory."""
    paths: PathSettings = Field(default_factory=PathSettings)
    mongo: MongoSettings = MongoSettings()
    watch: WatchSettings = WatchSettings()
    refine: RefineSettings = RefineSettings()
    load: LoadSettings = LoadSettings()
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    api: ApiSettings = ApiSettings()
    logs: LogSettings = LogSettings()
    service: ServiceSettings = ServiceSettings()

    @field_validator("api")
    @classmethod
    def _place_api_files(cls, api: ApiSettings, info: ValidationInfo) -> ApiSettings:
        root = info.data["paths"].root if "paths" in info.data else Path("/")
        names = ("socket", "tls_certificate", "tls_key", "tls_client_ca")
        given = {name: path for name in names if (path := getattr(api, name)) is not None}
        return api.model_copy(update={n: root / _expand(path) for n, path in given.items()})

    @field_validator("logs")
    @classmethod
    def _place_error_file(cls, logs: LogSettings, info: ValidationInfo) -> LogSettings:
        root = info.data["paths"].root if "paths" in info.data else Path("/")
        return logs.model_copy(update={"error_file": root / _expand(logs.error_file)})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A test or a tool that builds settings must never pick up somebody's real MongoDB."""
        return (init_settings,)
