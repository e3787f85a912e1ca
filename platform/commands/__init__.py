"""What the doors do: arguments, refusals, exit codes, the terminal, the way to a cluster."""
