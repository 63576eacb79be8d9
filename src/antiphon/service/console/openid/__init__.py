"""Signing in by an OpenID provider: how it is asked, what it says, and whose session begins."""
