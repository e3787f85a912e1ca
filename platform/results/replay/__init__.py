"""Recorded searches under other settings, on other machines."""
