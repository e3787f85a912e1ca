"""What a person sees of a study while it is planned and runs."""
