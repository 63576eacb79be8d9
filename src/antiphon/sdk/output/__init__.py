"""Structured outputs: answers that are values of a type."""
