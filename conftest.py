"""Bare `pytest` imports the standard `platform` before this folder is on the path: give that module ours as path."""

from pathlib import Path

import platform

if not hasattr(platform, "__path__"):
    platform.__path__ = [str(Path(__file__).parent / "platform")]
