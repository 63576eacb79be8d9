"""Tools that this server runs inside of an answer: the loop, and each tool."""
