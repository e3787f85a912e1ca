"""Parts of the table page with words and numbers of their own, the same in every format."""
