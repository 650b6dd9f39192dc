"""Rows on their way out: raw documents to NDJSON, CSV, Arrow and Parquet, column by column.

Pure and synchronous: ``render`` is what a worker does with one reply of MongoDB, an ``Assembler``
makes one file of the pieces. What is read and how it is sent is left to ``api/``.

    octets      bytes that are read at many places at once
    columns     columns out of them
    segments    documents that are alike, as frames; the others one by one
    frames      those documents as frames, where a form needs it
    forms       what a worker does: the rows of a batch as the bytes of each form
"""

from ingestd.export.forms import FORMS, render
from ingestd.export.octets import document_edges
from ingestd.export.plan import Assembler, Piece, Plan

__all__ = ["FORMS", "Assembler", "Piece", "Plan", "document_edges", "render"]
