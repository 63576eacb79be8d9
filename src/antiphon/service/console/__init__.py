"""The use cases of the Console: signing in and out, sessions, passwords, one-time links."""
