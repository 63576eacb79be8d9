"""The persistent state: tables, and functions that take a connection."""
