"""How fast ingestd is, beside what the same MongoDB takes and what teams do today.

``python -m benchmarks`` runs everything; ``NOTES.md`` says how to read what it prints.
"""
