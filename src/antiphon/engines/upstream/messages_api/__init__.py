"""Upstreams that speak the Claude API."""
