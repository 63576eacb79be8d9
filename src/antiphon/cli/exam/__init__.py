"""The exam of a running model: its tasks, how they are judged, and what is kept of it."""
