"""The endpoints of the Admin API, a module for each family."""
