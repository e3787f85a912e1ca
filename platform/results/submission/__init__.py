"""What a venue asks of a paper, answered from records: forms, a table, and a crate of all that it rests on."""
