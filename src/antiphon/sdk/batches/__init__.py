"""Message Batches: the calls, waiting for the end of one, and a map over rows that survives."""
