"""HTTP itself: connections, exchanges, routing, the error boundary, requests and answers."""
