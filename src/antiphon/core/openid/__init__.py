"""The rules of signing in by OpenID Connect, as functions of values."""
