"""A study's copy in MLflow."""
