"""The API's JSON and nothing else: requests, answers and stream events."""
