"""What is trained, and what it costs."""
