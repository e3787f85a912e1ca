"""Where an MLflow keeps its runs and its files, and what is wrong with these places."""
