"""What a search's trials say of the fields that it searched."""
