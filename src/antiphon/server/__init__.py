"""HTTP: routes, the error boundary, and how an answer is written."""
