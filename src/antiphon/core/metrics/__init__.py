"""Metrics as values: families, their series, and the text in which Prometheus reads them."""
