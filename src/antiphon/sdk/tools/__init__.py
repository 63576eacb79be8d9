"""Tools: functions that a model may call, and the loop that calls them."""
