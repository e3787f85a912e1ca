"""What the numbers of few seeds can show: intervals, tests, ranks and power."""
