"""A study on a cluster, from the user's machine; `python -m platform.remote --help` says how."""
