"""What servers were recorded to answer, taken apart."""

import json
from typing import Any, Final

# Told by the operator's flags, or by nothing that matters here.
ASIDE: Final = {
    "system_fingerprint",
    "metrics",
    "kv_transfer_params",
    "permission",
    "service_tier",
}


def events_of(text: str) -> list[Any]:
    """Return the events of a stream, or the one of an answer."""
    if not text.startswith("data: "):
        return [json.loads(text)]
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def form(value: Any) -> Any:
    """Return the form of a value: its names, and the types of its values."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in sorted(value.items()) if name not in ASIDE}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return type(value).__name__
