"""Bare `pytest` imports the standard library's `platform` before this folder is on the path: give it ours as its path."""

import platform
from pathlib import Path

if not hasattr(platform, "__path__"):
    platform.__path__ = [str(Path(__file__).parent / "platform")]
