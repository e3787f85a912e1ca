"""What a Markdown page is made of."""
