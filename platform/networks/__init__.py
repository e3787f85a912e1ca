"""The networks every method shares, and what they cost."""
