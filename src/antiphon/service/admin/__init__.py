"""The use cases of the Admin API and of the commands that administer."""
