"""The use cases of the Admin API and of the administrative commands."""
