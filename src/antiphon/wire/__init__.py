"""The API's JSON and nothing else: what requests, answers and stream events look like."""
