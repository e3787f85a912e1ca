"""What a trial is, what it leaves behind, and where that lies: the truth of every study."""
