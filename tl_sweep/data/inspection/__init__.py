"""What was understood of a data set, said and shown before anything is trained on it."""
