"""The limits of a request: which apply, whether it may begin, and its charge."""
