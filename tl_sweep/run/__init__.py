"""One run, from its key to what it leaves behind."""
