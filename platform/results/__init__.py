"""What records give, and can give again: the table, reports, figures, MLflow's copy."""
