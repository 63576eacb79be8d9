"""Requests with a search of the server, and a script that uses it."""

from typing import Any

REGEX = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
BM25 = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}


def deferred(name: str, description: str = "") -> dict[str, Any]:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    return {
        "name": name,
        "description": description,
        "input_schema": schema,
        "defer_loading": True,
    }


TOOLS = [REGEX, deferred("get_weather", "How the weather is."), deferred("send_mail")]
SEARCH = {"name": REGEX["name"], "input": {"pattern": "weather"}}
LOOK = {"name": "get_weather", "input": {"place": "Oslo"}}
# The first reply that fits: to what was found, to the result of the tool, to the question.
REPLIES = [
    {"when": "Tool: get_weather", "text": "There.", "tool_calls": [LOOK]},
    {"when": "It rains", "text": "Rain."},
    {"when": "weather", "text": "I look.", "tool_calls": [SEARCH]},
]
QUESTION = {"role": "user", "content": "How is the weather?"}
"""A question to which the model searches, finds a tool and calls it."""
