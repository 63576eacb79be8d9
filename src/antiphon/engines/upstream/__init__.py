"""Engines in front of other servers, which have templates and tokens of their own."""
