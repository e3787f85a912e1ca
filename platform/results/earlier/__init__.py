"""What the records of earlier studies tell of one that is planned."""
