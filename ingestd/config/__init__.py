"""Settings and sources: what they are, how they are read, how mistakes in them are told."""
