"""Data sets as files: which of a folder's files count, what is in them, and what they are when they are decoded."""
