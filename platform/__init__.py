"""The standard library's `platform` module, made a package: `platform.system()` is Python's, `platform.study` is ours.

The study command is `python -m platform.study`, so this package carries the name of a module that torch, pandas and Ray
import. Running the original's source here gives them exactly that module, while the import system has already set
`__path__` to this folder. Nothing else ever goes into this file.
"""

import os as _os

_source = _os.path.join(_os.path.dirname(_os.__file__), "platform.py")
with open(_source, "rb") as _file:
    exec(compile(_file.read(), _source, "exec"))
