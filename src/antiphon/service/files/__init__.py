"""Uploaded files: their use cases, how one arrives, and what becomes of them with time."""
