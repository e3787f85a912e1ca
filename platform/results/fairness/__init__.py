"""What each row was given and what it took: trials, steps, hours by phase, energy, labels."""
