"""What survives a restart: tables, and functions that take a connection."""
