"""From recorded runs to a ``Study``."""
