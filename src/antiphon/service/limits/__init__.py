"""The limits of a request: those that apply, the decision about it, and its charge."""
