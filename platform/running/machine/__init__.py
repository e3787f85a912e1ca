"""The Ray that runs on this machine: how it starts and ends, what it needs, and what keeps others out of it."""
