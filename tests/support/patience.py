"""How long a test waits for a process."""

PATIENCE = 600
"""Seconds after which what must happen is said not to; nothing is asserted of any time below.

Longer than the platform itself waits for Ray to start and to end: what hangs there is said by the platform.
"""
