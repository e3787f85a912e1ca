"""Token files, by which processes and nodes tell each other what they hold and see.

    file          folder    written by              read by                     means                        goes
    running       a study   its driver              its next driver             locked: the study runs (1)   emptied (3)
    stop-<run>    a study   a driver that is told   its own workers, between    end after this step          removed (3)
                            to stop                 steps
    shared-mark   a study   its driver, if nodes    workers, before training    this node sees the results   never (4)
                            share the results
    lock          a trial   (empty)                 drivers of other studies    locked: a driver has it (2)  never
    claim         a trial   its driver, for each    workers, before they write  the worker that may write    never (4)
                            worker that gets it     what the trial leaves

(1) It lists the processes that the driver started, which the next driver ends if this one was killed and they bear the
mark of its run. (2) Until the trial ends for it, or its process does. (3) When the driver ends; those of other runs,
which stop nothing, also when one begins. (4) It is overwritten.
Locks lie on the driver's machine, since buckets know none; the other files lie where the records do.
"""

STUDY_LOCK = "running"
STOP = "stop"
MARK = "shared-mark"
TRIAL_LOCK = "lock"
CLAIM = "claim"
TOKENS = (STUDY_LOCK, STOP, f"{STOP}-*", MARK, TRIAL_LOCK, CLAIM)
"""Patterns of all of them, and of those of version 0.1.0; none means anything in results that were copied elsewhere."""
