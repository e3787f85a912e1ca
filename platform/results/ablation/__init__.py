"""Ablations in the table: what each part is worth."""
