"""Attacks on a running server: `python -m support.hostile` runs them in a process of its own."""
