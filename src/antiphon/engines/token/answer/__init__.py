"""Answers out of tokens: what may be generated, and what was."""
