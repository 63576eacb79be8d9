"""HTTP: the error boundary, exchanges, connections, bodies and how an answer is written."""
