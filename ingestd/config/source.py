"""What one source is: where its files lie, what its columns are, and what is done with them."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from ingestd.config.quantities import Seconds
from ingestd.config.settings import Section
from ingestd.config.values import (
    Bound,
    CheckName,
    Comment,
    Currencies,
    Delimiter,
    DoneMarker,
    Encoding,
    Escape,
    FilePattern,
    Quote,
    RecordEnd,
    RowBeginning,
    SourceName,
    Thousands,
    TimeFormats,
    TimeZone,
)

ColumnTypeName = Literal[
    "string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "float32", "float64", "decimal", "date", "datetime", "time", "duration", "json",
    "binary", "objectid", "category",
]  # fmt: skip

FormatName = Literal["csv", "tsv", "fixed", "ndjson", "json", "parquet", "excel", "avro"]

PANDAS_NAMES: dict[str, ColumnTypeName] = {
    "object": "string", "str": "string", "boolean": "bool",
    "Int8": "int8", "Int16": "int16", "Int32": "int32", "Int64": "int64",
    "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32",
    "Float32": "float32", "Float64": "float64",
    "datetime64[ns]": "datetime", "datetime64[us]": "datetime", "datetime64[ms]": "datetime",
    "datetime64[s]": "datetime", "timedelta64[ns]": "duration",
}  # fmt: skip
"""Names that pandas users have in their schemas already, and what they mean here."""

EXTRA = "_extra"
"""The column of what no other column has: fields of a row beyond the file's columns
(``ragged = "rescue"``), and the file's columns beyond the schema (``on_new_column = "rescue"``)."""

SURPLUS = "_fields"
"""What the former are called where both of them are kept."""

RESERVED_COLUMNS = ("_id", "processed_at", "source_name", "__row__")


class ColumnSpec(Section):
    """One column: its type, and what reading a value of that type needs to know."""

    type: ColumnTypeName
    format: TimeFormats | None = None
    """strptime-like format of dates and times (``%Y-%m-%d``), or several; default ISO 8601."""
    timezone: TimeZone = "UTC"
    """Time zone of date-times that carry none; stored in UTC."""
    ambiguous: Literal["reject", "earliest", "latest"] = "reject"
    """Which moment a time means that the clocks of ``timezone`` showed twice."""
    decimal: Literal[".", ","] | None = None
    """What stands before a fraction; default ``csv.decimal``."""
    thousands: Thousands | None = None
    """What stands between groups of three digits; default ``csv.thousands``."""
    currency: Currencies | None = None
    """Signs of which a number may have one, before or behind it."""
    percent: bool = False
    """``12.5 %`` stands for 0.125, and the sign has to be there."""
    accounting: bool = False
    """``(5)`` and ``5-`` are negative."""
    precision: int = Field(default=34, ge=1, le=34)
    scale: int = Field(default=6, ge=0, le=34)
    encoding: Literal["hex", "base64"] = "base64"
    """How ``binary`` is written in the file."""
    null_values: tuple[str, ...] = ()
    """Texts that mean "no value" in this column alone."""
    aliases: tuple[str, ...] = ()
    """Other names of the column in files."""
    true_values: tuple[str, ...] = ("true", "t", "yes", "y", "1")
    false_values: tuple[str, ...] = ("false", "f", "no", "n", "0")

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats to be tried in turn; none means ISO 8601."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currency signs that a number may have."""
        return (self.currency,) if isinstance(self.currency, str) else self.currency or ()

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict | ColumnSpec):
            raise ValueError('allowed: a type such as "int64", or a table with a type')
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            value = {**value, "type": PANDAS_NAMES.get(value["type"], value["type"])}
        return value


class RuleSpec(Section):
    """The rules of one column; a null passes every rule but ``not_null``."""

    not_null: bool = False
    min: Bound | None = None
    max: Bound | None = None
    exclusive_min: Bound | None = None
    exclusive_max: Bound | None = None
    one_of: tuple[Bound, ...] | None = Field(default=None, min_length=1)
    not_one_of: tuple[Bound, ...] | None = Field(default=None, min_length=1)
    matches: str | None = Field(default=None, min_length=1)
    """A regular expression that the value must contain; anchor it with ``^`` and ``$``."""
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    unique: bool = False
    """No two rows of one file share a value."""


class CheckSpec(Section):
    """A rule over a whole row: a SQL expression that must not be false."""

    name: CheckName
    expression: str = Field(min_length=1)
    message: str | None = None


class CsvSpec(Section):
    """The dialect of a CSV file."""

    delimiter: Delimiter = ","
    quote: Quote = '"'
    """Empty: quotes have no meaning."""
    escape: Escape = "doubled"
    """How a quote is written inside quotes: doubled, after this character, or not at all."""
    encoding: Encoding = "utf-8"
    """Python's canonical name, once read; a byte order mark in the file knows better."""
    record_end: RecordEnd = "auto"
    """``auto``: LF or CRLF, or CR where the file has none of them."""
    header: bool = True
    header_lines: int = Field(default=1, ge=0, le=10)
    """The names of several are joined with ``_``; 0 is the same as ``header = false``."""
    ignore_case: bool = False
    """``ID`` in the header is the column ``id``."""
    columns: tuple[str, ...] | None = None
    """Names in order, for files without a header; default the schema's order."""
    skip_lines: Annotated[int, Field(ge=0, le=10_000)] | Literal["auto"] = 0
    """``auto``: all lines before the first that names all columns of the schema."""
    skip_footer: int = Field(default=0, ge=0, le=1000)
    """Records at the end that are left out, as filtered ones; with a trailer, those behind it."""
    skip_rows: tuple[RowBeginning, ...] = ()
    """Rows that begin so are left out, as filtered ones: totals, notes below the table."""
    comment: Comment = ""
    """Lines that begin so are left out; empty: none are."""
    ragged: Literal["reject", "pad", "rescue"] = "reject"
    """Missing fields are null, unless they are a reason to reject the row; ``rescue`` also keeps
    extra ones, in the column ``_extra``."""
    null_values: tuple[str, ...] = ("",)
    trim: bool = False
    decimal: Literal[".", ","] = "."
    thousands: Thousands = ""
    """What stands between groups of three digits; empty: nothing."""

    @property
    def escape_character(self) -> str:
        """Takes its meaning from the character behind it; empty: there is none."""
        return "" if self.escape in ("doubled", "none") else self.escape

    @property
    def header_line_count(self) -> int:
        return self.header_lines if self.header else 0


FieldNumber = Annotated[int, Field(ge=1, le=10_000)]
Place = Annotated[int, Field(ge=1, le=1_000_000)]
Span = tuple[Place, Place]
"""First character, from 1, and width."""


def _kind_of_field(value: Any) -> str:
    return "span" if isinstance(value, list | tuple) else "number"


TrailerField = Annotated[
    Annotated[FieldNumber, Tag("number")] | Annotated[Span, Tag("span")],
    Discriminator(_kind_of_field),
]
"""Of a CSV file its number, from 1; of fixed-width text where it is."""


class FixedSpec(Section):
    """Where in a line of fixed-width text the columns are."""

    columns: dict[str, Span] = Field(default_factory=dict)
    encoding: Encoding = "utf-8"
    skip_lines: int = Field(default=0, ge=0, le=10_000)
    null_values: tuple[str, ...] = ("",)
    short_lines: Literal["reject", "pad"] = "reject"
    """``pad``: what a line lacks at its end are blanks, which some programs cut off."""

    @property
    def least_width(self) -> int:
        """Characters of a line that has all columns."""
        return max((start + width - 1 for start, width in self.columns.values()), default=0)


class ExcelSpec(Section):
    """Where in a workbook the rows are."""

    sheet: str | None = None
    """Default the first that can be seen."""
    skip_lines: int = Field(default=0, ge=0, le=10_000)
    """Rows with content before the one that names the columns."""


class ManifestSpec(Section):
    """The side file that tells of each file how many rows it has, or its checksum."""

    suffix: DoneMarker
    """With ``.count``, that of ``a.csv`` is ``a.csv.count``; the file waits for it."""


class SumSpec(Section):
    """A column, and the field of the trailer that tells what its values add up to."""

    column: str
    field: TrailerField


class TrailerSpec(Section):
    """The last record of each file: no data, it tells what the file holds."""

    prefix: str = Field(min_length=1, max_length=100)
    """How the record begins, without quotes: ``TRL|``."""
    count: TrailerField | None = None
    """The field with the number of rows."""
    sum: SumSpec | None = None


class LoadSpec(Section):
    """How the rows of this source are stored."""

    mode: Literal["insert", "upsert"] = "insert"
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    on_duplicate_file: Literal["skip", "fail"] = "skip"
    on_changed_file: Literal["append", "replace"] = "append"
    on_new_column: Literal["ignore", "add", "rescue", "fail"] = "ignore"
    """``add``: stored as strings; ``rescue``: kept together in the column ``_extra``."""
    on_missing_column: Literal["fail", "null"] = "fail"

    @property
    def replaces_versions(self) -> bool:
        """Of the files of one name, only the one that arrived last may be seen."""
        return self.mode == "insert" and self.on_changed_file == "replace"


class ErrorSpec(Section):
    """How much may be wrong, and how often a file is tried again."""

    max_rate: float | None = Field(default=None, ge=0, le=1)
    max_rows: int | None = Field(default=None, ge=0)
    retries: int = Field(default=3, ge=0, le=1000)
    retry_delay: Seconds = Field(default=300.0, ge=0)

    @property
    def has_budget(self) -> bool:
        """Whether a file is validated as a whole before any of it is loaded."""
        return self.max_rate is not None or self.max_rows is not None


def _check_step(step: dict[str, Any]) -> dict[str, Any]:
    if len(step) != 1:
        raise ValueError(f"a step has one key, this has {len(step)}; begin a new [[transform]]")
    return step


Step = Annotated[dict[str, Any], AfterValidator(_check_step)]


class SourceSpec(Section):
    """One configured feed, as its TOML file says."""

    name: SourceName
    file_pattern: FilePattern
    format: FormatName = "csv"
    done_marker: DoneMarker | None = None
    """Suffix of the file that says "complete" (``.done``); else files settle by themselves."""
    manifest: ManifestSpec | None = None
    trailer: TrailerSpec | None = None
    overdue_after: Seconds | None = Field(default=None, gt=0)
    """Longest usual time between two files, seconds; later the source counts as overdue."""
    csv: CsvSpec = CsvSpec()
    fixed: FixedSpec = FixedSpec()
    excel: ExcelSpec = ExcelSpec()
    columns: dict[str, ColumnSpec] = Field(alias="schema", min_length=1)
    validation_rules: dict[str, RuleSpec] = Field(default_factory=dict)
    checks: tuple[CheckSpec, ...] = ()
    transform: tuple[Step, ...] = ()
    """Steps in order; each a table with exactly one key, the step's name."""
    load: LoadSpec = LoadSpec()
    errors: ErrorSpec = ErrorSpec()

    @model_validator(mode="before")
    @classmethod
    def _delimit_by_tabs(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("format") == "tsv":
            csv = value.get("csv", {})
            value = {**value, "csv": {"delimiter": "\t", **csv} if isinstance(csv, dict) else csv}
        return value

    def as_written(self, name: str) -> ColumnSpec:
        """A column of the schema with what ``[csv]`` says of the numbers in all columns."""
        column = self.columns[name]
        changes = {
            option: value
            for option, value in (("decimal", self.csv.decimal), ("thousands", self.csv.thousands))
            if getattr(column, option) is None
        }
        return column.model_copy(update=changes)

    def manifest_of(self, path: Path) -> Path | None:
        """The side file that tells what the file at ``path`` holds, where the source has such."""
        return path.with_name(path.name + self.manifest.suffix) if self.manifest else None

    @model_validator(mode="before")
    @classmethod
    def _add_extra_column(cls, value: Any) -> Any:
        match value:
            case {"csv": {"ragged": "rescue"}, "schema": dict() as columns} | {
                "load": {"on_new_column": "rescue"},
                "schema": dict() as columns,
            }:
                return {**value, "schema": {**columns, EXTRA: columns.get(EXTRA, "json")}}
        return value

    @property
    def file_columns(self) -> tuple[str, ...]:
        """The columns of the schema that files have."""
        return tuple(name for name in self.columns if not (self.is_rescuing and name == EXTRA))

    @property
    def is_rescuing(self) -> bool:
        """Whether the column ``_extra`` keeps what no other column does."""
        return self.csv.ragged == "rescue" or self.load.on_new_column == "rescue"

    @property
    def config_hash(self) -> str:
        """16 hex characters that change when anything about the source's rows changes."""
        keys = ("file_pattern", "done_marker", "manifest", "overdue_after")
        of_files = dict.fromkeys(keys, True)
        of_retries = {"errors": {"retries": True, "retry_delay": True}}
        text = self.model_dump_json(exclude={**of_files, **of_retries})
        return hashlib.sha256(text.encode()).hexdigest()[:16]
