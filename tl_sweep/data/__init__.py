"""Images: where they come from, who learns from which, and how they look each time."""
