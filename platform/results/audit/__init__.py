"""Which selector deserves trust: scores of recorded checkpoints beside what they are worth on the target."""
