"""Message Batches: how their requests are run."""
