"""Names of the files by which processes and nodes tell each other what they hold and see."""

RUNNING = "running"
"""The file of a study's folder that is locked, and says by whom."""
LOCK, CLAIM = "lock", "claim"
"""Files of a trial's folder: locked by the driver that has the trial; what its worker must show to write."""
MARK = "shared-mark"
"""File of a study's folder, written anew by every driver."""
