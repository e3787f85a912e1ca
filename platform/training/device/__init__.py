"""What a device is: what it computes in, what it is called on record, and what of its memory is the trial's.

Beside it how a process is set up before it trains, operations of a GPU that are recorded and launched again, and how
long what is deployed takes for one image.
"""
