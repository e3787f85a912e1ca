"""The standard library's `platform` module, made a package: `platform.system()` is Python's, `platform.study` is ours.

The study command is `python -m platform.study`, so this package carries the name of a module that torch, pandas and Ray
import. Running the original's source here gives them exactly that module, while the import system has already set
`__path__` to this folder. Nothing else ever goes into this file.
"""

from pathlib import Path as _Path
from sysconfig import get_path as _get_path

_source = _Path(_get_path("stdlib")) / "platform.py"
exec(compile(_source.read_bytes(), _source, "exec"))
