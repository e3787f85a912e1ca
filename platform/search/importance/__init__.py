"""How much each searched field matters."""
