"""What limits a request: which limits apply, whether it may begin, and what it is charged."""
