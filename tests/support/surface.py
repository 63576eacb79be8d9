"""The surface of the wire, and how much of it the tests have seen.

A test that shows one of these things has the mark `covers("parameters: top_p", "effect")`.
`make coverage-table` writes `docs/reference/coverage.md` out of the marks, and a test holds the
page to them: what loses its test loses its place, and CI fails.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/reference/coverage.md"

# The best that a test shows counts.
STATES: Mapping[str, str] = {
    "effect": "does what it says",
    "shape": "is there, with the one value that is true here",
    "ignored": "is taken, and means nothing here",
    "refused": "is answered with an error that says so",
}

SURFACE: Mapping[str, Sequence[str]] = {
    "routes": (
        "POST /v1/messages",
        "POST /v1/messages, stream",
        "POST /v1/messages/count_tokens",
        "GET /v1/models",
        "GET /v1/models/{id}",
        "unknown path",
        "unknown method",
    ),
    "headers": (
        "x-api-key",
        "authorization",
        "anthropic-version: 2023-06-01",
        "anthropic-version: 2026-10-21",
        "anthropic-beta",
        "content-encoding: gzip",
        "request-id",
        "x-should-retry",
        "browser opt-in",
    ),
    "parameters": (
        "model",
        "messages",
        "max_tokens",
        "system",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "service_tier",
        "cache_control",
        "tools",
        "tool_choice",
        "thinking",
        "output_config.effort",
        "output_config.format",
        "container",
        "inference_geo",
        "speed",
        "diagnostics",
    ),
    "messages": (
        "many turns",
        "same-role turns",
        "role system",
        "prefill",
        "string content",
    ),
    "blocks of a request": (
        "text",
        "image",
        "document: text",
        "document: content",
        "document: PDF",
        "document: url",
        "document: file",
        "search_result",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "server tool blocks",
    ),
    "blocks of an answer": ("text", "thinking", "redacted_thinking", "tool_use", "citations"),
    "events": (
        "message_start",
        "ping",
        "content_block_start",
        "text_delta",
        "input_json_delta",
        "thinking_delta",
        "signature_delta",
        "citations_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    ),
    "stop reasons": (
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "model_context_window_exceeded",
        "refusal",
        "pause_turn",
    ),
    "usage": (
        "input_tokens",
        "output_tokens",
        "output_tokens_details",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "service_tier",
        "inference_geo",
    ),
    "errors": (
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "conflict_error",
        "request_too_large",
        "rate_limit_error",
        "api_error",
        "timeout_error",
        "overloaded_error",
    ),
}


class SurfaceError(ValueError):
    """A mark that names nothing of the surface."""


def marks() -> Iterator[tuple[str, str, str]]:
    """Yield thing, state and test of every mark in the sources of the tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.mark.covers("):
                        thing, state = map(ast.literal_eval, decorator.args)  # type: ignore[attr-defined]
                        yield thing, state, f"{path.relative_to(TESTS)}::{node.name}"


def covered() -> dict[str, str]:
    """Return the best state of each thing that a test shows. Raises `SurfaceError`."""
    order = list(STATES)
    found: dict[str, str] = {}
    for thing, state, test in marks():
        kind, _, name = thing.partition(": ")
        if name not in SURFACE.get(kind, ()) or state not in STATES:
            raise SurfaceError(f"{test}: {thing!r}, {state!r} is nothing of the surface")
        found[thing] = min(state, found.get(thing, state), key=order.index)
    return found


def page() -> str:
    """Return the page of the table."""
    states = covered()
    lines = [
        "# What of the wire is served",
        "",
        "Made from the marks of the tests (`tests/support/surface.py`); a test holds it to them.",
        "",
        *(f"- *{state}*: {meaning}" for state, meaning in STATES.items()),
        "- not yet: is not served, or no test shows it",
        "",
    ]
    for kind, names in SURFACE.items():
        lines += [f"## {kind[0].upper()}{kind[1:]}", "", "| | |", "|---|---|"]
        lines += [f"| `{name}` | {_state(states, kind, name)} |" for name in names]
        lines.append("")
    return "\n".join(lines)


def _state(states: Mapping[str, str], kind: str, name: str) -> str:
    state = states.get(f"{kind}: {name}")
    return f"*{state}*" if state else "not yet"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(covered())} things have a test\n")
