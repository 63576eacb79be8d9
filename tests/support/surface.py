"""The surface of the API, and which part of it the tests cover.

A test that covers a thing has a mark such as `covers("parameters: top_p", "effect")`. `make
coverage-table` writes `docs/reference/coverage.md` from the marks, and a test compares the two, so
CI fails if a thing loses its test. A page on which a state is worse than before is not written,
unless `--take-back` permits it.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROW = re.compile(r"\| `(?P<name>.+)` \| \*(?P<state>\w+)\* \|")
PAGE = TESTS.parent / "docs/reference/coverage.md"

# From the best to the worst; the best one that a test shows counts.
STATES: Mapping[str, str] = {
    "effect": "works as the API documents it",
    "shape": "is present, with the one value that applies to this server",
    "ignored": "is accepted, without effect",
    "refused": "is refused, with an error that names it",
}

SURFACE: Mapping[str, Sequence[str]] = {
    "routes": (
        "POST /v1/messages",
        "POST /v1/messages, stream",
        "POST /v1/messages/count_tokens",
        "POST /v1/messages/batches",
        "GET /v1/messages/batches",
        "GET /v1/messages/batches/{id}",
        "GET /v1/messages/batches/{id}/results",
        "POST /v1/messages/batches/{id}/cancel",
        "DELETE /v1/messages/batches/{id}",
        "POST /v1/files",
        "GET /v1/files",
        "GET /v1/files/{id}",
        "GET /v1/files/{id}/content",
        "DELETE /v1/files/{id}",
        "GET /v1/models",
        "GET /v1/models/{id}",
        "GET /v1/organizations/usage_report/messages",
        "GET /v1/organizations/cost_report",
        "unknown path",
        "unknown method",
    ),
    # Below `/v1/organizations`, beside the reports.
    "administration": (
        "GET /me",
        "GET /users",
        "GET /users/{user}",
        "POST /users/{user}",
        "DELETE /users/{user}",
        "POST /users/{user}/sign_out",
        "GET /user_names",
        "GET /invites",
        "POST /invites",
        "GET /invites/{invite}",
        "DELETE /invites/{invite}",
        "POST /invites/{invite}/accept",
        "GET /workspaces",
        "POST /workspaces",
        "GET /workspaces/{workspace}",
        "POST /workspaces/{workspace}",
        "POST /workspaces/{workspace}/archive",
        "GET /workspaces/{workspace}/members",
        "POST /workspaces/{workspace}/members",
        "GET /workspaces/{workspace}/members/{user}",
        "POST /workspaces/{workspace}/members/{user}",
        "DELETE /workspaces/{workspace}/members/{user}",
        "GET /api_keys",
        "POST /api_keys",
        "GET /api_keys/{key}",
        "POST /api_keys/{key}",
        "POST /api_keys/{key}/rotate",
        "GET /rate_limits",
        "POST /rate_limits/{limit}",
        "GET /workspaces/{workspace}/rate_limits",
        "POST /workspaces/{workspace}/rate_limits/{limit}",
        "GET /api_keys/{key}/rate_limits",
        "POST /api_keys/{key}/rate_limits/{limit}",
        "GET /spend_limits",
        "POST /spend_limits",
        "GET /spend_limits/effective",
        "GET /spend_limits/{limit}",
        "POST /spend_limits/{limit}",
        "DELETE /spend_limits/{limit}",
        "GET /balances",
        "GET /rate_limit_levels",
        "GET /limit_increase_requests",
        "POST /limit_increase_requests",
        "GET /limit_increase_requests/{request}",
        "POST /limit_increase_requests/{request}/grant",
        "POST /limit_increase_requests/{request}/refuse",
        "POST /limit_increase_requests/{request}/withdraw",
        "GET /audit_log",
        "GET /prompt_cache",
        "GET /prompt_cache/entries",
        "GET /prompt_cache/report",
        "GET /file_storage",
        "GET /models",
        "GET /settings",
        "GET /requests",
        "GET /requests/{request}",
        "GET /activity",
        "GET /running_requests",
        "usage_report/claude_code",
        "service_accounts",
        "external_keys",
        "rbac_groups and rbac_roles",
        "federation",
        "admin keys apart from others",
        "pages by id",
        "pages by token",
        "error codes",
        "fields of 2023-06-01",
        "Idempotency-Key",
        "audit of every change",
    ),
    "headers": (
        "x-api-key",
        "authorization",
        "anthropic-version: 2023-06-01",
        "anthropic-version: 2026-10-21",
        "anthropic-beta",
        "anthropic-user-profile-id",
        "anthropic-workspace-id",
        "content-type: charset",
        "content-encoding: gzip",
        "anthropic-organization-id",
        "retry-after",
        "anthropic-ratelimit-*",
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
        "context_management",
        "safeguards",
        "thread",
        "mcp_servers",
        "fallbacks",
        "compaction",
        "output_config.task_budget",
    ),
    "tools": (
        "custom",
        "bash, text_editor, memory",
        "tool_search_tool_regex, tool_search_tool_bm25",
        "web_search, web_fetch",
        "code_execution",
        "computer, browser, MCP toolsets",
        "strict",
        "eager_input_streaming",
        "input_examples",
        "defer_loading",
        "allowed_callers",
    ),
    "tool_choice": ("auto", "any", "tool", "none", "disable_parallel_tool_use"),
    "messages": (
        "many turns",
        "same-role turns",
        "role system",
        "clear_at",
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
        "tool_reference",
        "tool_addition",
        "tool_removal",
        "browser_state",
        "server_tool_use",
        "tool_search_tool_result",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "blocks of code execution",
        "container_upload",
        "MCP blocks",
    ),
    "blocks of an answer": (
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
        "tool_search_tool_result",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "citations",
    ),
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
        "cache_creation",
        "server_tool_use",
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
        "spend limits: 400, and 429 for the server's cap",
        "api_error",
        "timeout_error",
        "overloaded_error",
    ),
}


NOT_YET = "not yet"
# A test with one of these need not pass, so its marks do not count.
SKIPPING_MARKS = ("pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail")


class SurfaceError(ValueError):
    """A mark that names nothing of the surface, or a test whose marks do not count."""


def marks(tests: Path = TESTS) -> Iterator[tuple[str, str, str]]:
    """Yield thing, state and test of every mark in the tests."""
    for path in sorted(tests.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "covers" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for thing, state in _marks_of(node):
                    yield thing, state, f"{path.relative_to(tests)}::{node.name}"


def _marks_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    written = [(ast.unparse(one), one) for one in test.decorator_list]
    found = [
        (ast.literal_eval(one.args[0]), ast.literal_eval(one.args[1]))
        for text, one in written
        if text.startswith("pytest.mark.covers(") and isinstance(one, ast.Call)
    ]
    if found and not test.name.startswith("test_"):
        raise SurfaceError(f"{test.name} is no test")
    if found and any(text.startswith(SKIPPING_MARKS) for text, _ in written):
        raise SurfaceError(f"{test.name} need not pass, and shows nothing")
    return found


def covered(tests: Path = TESTS) -> dict[str, str]:
    """Return the best state that a test shows, for each thing. Raises `SurfaceError`."""
    found: dict[str, str] = {}
    for thing, state, test in marks(tests):
        kind, _, name = thing.partition(": ")
        if name not in SURFACE.get(kind, ()) or state not in STATES:
            raise SurfaceError(f"{test}: {thing!r}, {state!r} is nothing of the surface")
        found[thing] = min(state, found.get(thing, state), key=_rank)
    return found


def _rank(state: str | None) -> int:
    """Return the distance of a state from the best one."""
    return len(STATES) if state is None else list(STATES).index(state)


def stated(text: str) -> dict[str, str]:
    """Return the states on a page."""
    found: dict[str, str] = {}
    kind = ""
    for line in text.splitlines():
        if line.startswith("## "):
            kind = line[3:4].lower() + line[4:]
        elif row := ROW.fullmatch(line):
            found[f"{kind}: {row['name']}"] = row["state"]
    return found


def regressions(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return a line for each thing whose state is worse, or that left the surface."""
    return [
        f"{thing}: {state}, now {now.get(thing, NOT_YET)}"
        for thing, state in before.items()
        if _rank(now.get(thing)) > _rank(state)
    ]


def page(states: Mapping[str, str]) -> str:
    """Return the page of the table."""
    lines = [
        "# API coverage",
        "",
        "How much of the Claude API Antiphon serves. The table is generated from the marks of the",
        "tests (`tests/support/surface.py`), and a test compares the two.",
        "",
        *(f"- *{state}*: {meaning}" for state, meaning in STATES.items()),
        f"- {NOT_YET}: is not served, or not covered by a test",
        "",
    ]
    for kind, names in SURFACE.items():
        lines += [f"## {kind[0].upper()}{kind[1:]}", "", "| | |", "|---|---|"]
        lines += [f"| `{name}` | {_state(states, kind, name)} |" for name in names]
        lines.append("")
    return "\n".join(lines)


def _state(states: Mapping[str, str], kind: str, name: str) -> str:
    state = states.get(f"{kind}: {name}")
    return f"*{state}*" if state else NOT_YET


def main(arguments: Sequence[str], path: Path = PAGE) -> str | None:
    """Write the page; return the reason if it is not written."""
    states = covered()
    lost = regressions(stated(path.read_text(encoding="utf-8")), states)
    if lost and "--take-back" not in arguments:
        return "\n".join(["These went backwards (--take-back if it is meant):", *lost])
    path.write_text(page(states), encoding="utf-8")
    sys.stdout.write(f"{path.name}: {len(states)} things have a test\n")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
