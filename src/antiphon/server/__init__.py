"""The HTTP server: the route table and the endpoints."""
