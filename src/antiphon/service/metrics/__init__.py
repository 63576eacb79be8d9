"""What a server tells Prometheus: sums of requests, and values that are read when asked."""
