"""How one file is laid out: the ``[csv]`` options that read it, and its columns' names."""

from dataclasses import dataclass
from typing import Any

from ingestd.infer.dialects import Dialect, guess_dialect
from ingestd.infer.names import storable_names
from ingestd.infer.outline import Outline, comment_prefix, draw_outline
from ingestd.infer.samples import Sample


@dataclass(frozen=True, slots=True)
class Layout:
    """``names`` are those of the file, ``columns`` those that the documents get, both in order."""

    dialect: Dialect
    outline: Outline
    encoding: str
    names: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Whether the header's names are enough to tell the columns apart."""
        return bool(self.names) and all(self.names) and len(set(self.names)) == len(self.names)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns as the source's schema names them."""
        return self.names if self.is_named else self.columns

    @property
    def renamed(self) -> dict[str, str]:
        """Columns that MongoDB cannot store under the names they have in the file."""
        pairs = zip(self.keys, self.columns, strict=True)
        return {key: column for key, column in pairs if key != column}

    def options(self) -> dict[str, Any]:
        """What ``[csv]`` has to say beside the defaults, to read the file by its header."""
        options = self._dialect_options()
        if self.is_named:
            return options | _given(skip_lines=self.outline.skip_lines)
        return self.positional_options(self.columns)

    def positional_options(self, columns: tuple[str, ...]) -> dict[str, Any]:
        """The same, to read the rows alone."""
        skipped = _given(skip_lines=self.outline.data_line)
        return {**self._dialect_options(), "header": False, **skipped, "columns": list(columns)}

    def _dialect_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.dialect.delimiter != ",":
            options["delimiter"] = self.dialect.delimiter
        if self.dialect.quote != '"':
            options["quote"] = self.dialect.quote
        if self.encoding != "utf-8":
            options["encoding"] = self.encoding
        return options


def find_layout(sample: Sample) -> Layout:
    """The layout of the file that was sampled."""
    return layout_in(sample, guess_dialect(sample.start))


def layout_in(sample: Sample, dialect: Dialect) -> Layout:
    """The layout of the file, if it is written in this dialect."""
    comment = comment_prefix(sample.start.splitlines())
    outline = draw_outline(list(dialect.records(sample.start)), comment)
    names = outline.names or ("",) * outline.width
    return Layout(dialect, outline, sample.encoding.name, outline.names, storable_names(names))


def _given(**options: Any) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in options.items() if value}
