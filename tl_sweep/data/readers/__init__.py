"""Readers of pictures: one file per outside library, and one door to them."""
