"""The Admin API: people, workspaces, keys, limits, reports and requests of an organization."""
