"""A study on a cluster, from the user's machine."""
