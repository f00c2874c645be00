"""Where runs are recorded: the only room that imports mlflow."""
