"""Ablations: rows that tell what the parts of an arm are worth."""
