"""Predictions to numbers: with labels (metrics), without (selectors)."""
