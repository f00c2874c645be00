"""Arrays on disk by key."""
