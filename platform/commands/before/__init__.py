"""What comes before a command does anything: its study file, and what a run is refused for."""
