"""Selectors that estimate the target's error."""

from platform.scores.selectors.risk.deep_embedded_validation import DeepEmbeddedValidation

__all__ = ["DeepEmbeddedValidation"]
