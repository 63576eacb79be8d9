"""Commands that ask a model: where the server is, what a turn holds, and how an answer is shown."""
