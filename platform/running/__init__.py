"""Ray: trials on this machine or on a cluster."""
