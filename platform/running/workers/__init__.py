"""Ray's worker processes: what they import, how they start, and what Ray says when they end."""
