"""What to try, what to stop, what to confirm: functions of a study and its records."""
