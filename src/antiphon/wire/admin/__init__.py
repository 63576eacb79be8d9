"""Requests and answers of the Admin API."""
