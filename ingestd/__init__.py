"""ingestd turns dropped files into clean MongoDB documents."""

__version__ = "0.1.0"
