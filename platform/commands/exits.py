"""Exit codes of the commands, and the errors that lead to them."""

COMPLETE, INCOMPLETE, BAD_INPUT, OUR_MISTAKE = 0, 1, 2, 4


class MachineFailed(Exception):
    """The disk or Ray failed; what was recorded is kept."""


class BadInput(ValueError):
    """A user's mistake, said in one line."""
