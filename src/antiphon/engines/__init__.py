"""Engines: models behind one small protocol."""
