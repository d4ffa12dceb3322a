"""Measurements of the package: what is fast, what finds."""
