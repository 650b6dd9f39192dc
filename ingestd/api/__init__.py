"""HTTP in, values out; no decisions.

A request is read strictly (``query``, ``filters``, ``values``), becomes a walk over a collection
(``walks``), and its rows are written as JSON (``rows``, ``answers``). Everything that is refused
becomes a problem document (``problems``).
"""
