"""Rounds: which rows and which seeds the scores so far ask for, where a study does not know them before it runs."""
