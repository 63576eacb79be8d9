"""A prompt as the body of a request to `/v1/messages`.

Breakpoints of the prompt cache stay at their blocks and tools, with their lifetimes, so that the
upstream caches the prefixes that the caller chose.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from antiphon.core.breakpoints import turns_with_marks
from antiphon.core.late_tools import definition_in
from antiphon.engines.base import Prompt, Thinking, Tool, ToolChoice, Turn
from antiphon.engines.upstream.messages_api.options import MessagesOptions
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import (
    TOOL_CHANGES,
    ContentParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
)

BETA_HEADER: Final = "anthropic-beta"
CHANGES_BETA: Final = "mid-conversation-tool-changes-2026-07-01"
DEFINITIONS_BETA: Final = "inline-tools-2026-09-15"
"""Not every server that takes changes by name knows definitions in messages."""


def request_of(
    prompt: Prompt, options: MessagesOptions, envelope: ProofEnvelope, model: str, max_tokens: int
) -> bytes:
    """Return the body of a request for at most `max_tokens`, as a stream."""
    given = {"top_p": prompt.top_p, "top_k": prompt.top_k}
    body = {
        **_conversation(prompt, options, envelope, model),
        "max_tokens": max_tokens,
        "stream": True,
        **{name: value for name, value in given.items() if value is not None},
    }
    if prompt.temperature != 1.0:
        # The default is left out: newer models take neither the parameter nor another value.
        body["temperature"] = prompt.temperature
    return msgspec.json.encode(body)


def headers_of(prompt: Prompt, options: MessagesOptions) -> Mapping[str, str]:
    """Return the headers that a prompt needs: the betas of its blocks, beside the operator's."""
    changes = [
        block
        for turn in prompt.turns
        if turn.role == "system"
        for block in turn.content
        if isinstance(block, TOOL_CHANGES)
    ]
    if not changes:
        return {}
    own = [value for name, value in options.headers.items() if name.lower() == BETA_HEADER]
    betas = [CHANGES_BETA, *[DEFINITIONS_BETA] * any(map(definition_in, changes))]
    return {BETA_HEADER: ",".join([*own, *betas])}


def count_of(
    prompt: Prompt, options: MessagesOptions, envelope: ProofEnvelope, model: str
) -> bytes:
    """Return the body of a request that counts tokens."""
    return msgspec.json.encode(_conversation(prompt, options, envelope, model))


def _conversation(
    prompt: Prompt, options: MessagesOptions, envelope: ProofEnvelope, model: str
) -> dict[str, Any]:
    turns = turns_with_marks(prompt)
    body: dict[str, Any] = {"model": model}
    if turns[0].role == "system":
        body["system"] = [as_sent(block) for block in turns[0].content]
        turns = turns[1:]
    body["messages"] = list(_messages(turns, envelope, resend=options.resend_thinking))
    if prompt.tools:
        body["tools"] = _tools(prompt)
    if prompt.tools or prompt.offered:
        body["tool_choice"] = _choice(prompt.tool_choice)
    if options.thinking:
        body["thinking"] = _thinking(prompt.thinking)
    if output := _output(prompt):
        body["output_config"] = output
    return body


def _messages(
    turns: Iterable[Turn], envelope: ProofEnvelope, *, resend: bool
) -> Iterator[dict[str, Any]]:
    for turn in turns:
        blocks = (_block(block, envelope, resend=resend) for block in turn.content)
        content = [block for block in blocks if block is not None]
        if content:
            yield {"role": turn.role, "content": content}


def _block(block: ContentParam, envelope: ProofEnvelope, *, resend: bool) -> Any:
    """Return a block as the upstream takes it; thinking of others only with `resend`."""
    match block:
        case ThinkingParam(thinking=thinking, signature=proof):
            signature = envelope.open(proof)
            if signature is not None:
                return {"type": "thinking", "thinking": thinking, "signature": signature}
            return as_sent(block) if resend else None
        case RedactedThinkingParam(data=proof):
            # Only the upstream that made it can read it.
            hidden = envelope.open(proof)
            return None if hidden is None else {"type": "redacted_thinking", "data": hidden}
    return as_sent(block)


def as_sent(value: Any) -> Any:
    """Return a block as it was received: without absent keys, `null`, defaults, empty citations."""
    if isinstance(value, TextParam) and value.cache_control is None and not value.citations:
        return {"type": "text", "text": value.text}
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {config.tag_field: config.tag} if config.tag_field else {}
        return {**tag, **{name: as_sent(field) for name, field in _fields_sent(value)}}
    return [as_sent(one) for one in value] if isinstance(value, list) else value


def _fields_sent(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    fields, defaults = value.__struct_fields__, value.__struct_defaults__
    required = (UNSET,) * (len(fields) - len(defaults))
    for name, default in zip(fields, required + defaults, strict=True):
        field = getattr(value, name)
        if field is not UNSET and field is not None and field != default:
            yield name, field


def _tools(prompt: Prompt) -> list[dict[str, Any]]:
    tools = [_tool(tool) for tool in prompt.tools]
    for mark in prompt.breakpoints:
        if mark.turn is None:
            tools[mark.path[0]]["cache_control"] = as_sent(
                CacheControlParam(type="ephemeral", ttl=mark.ttl)
            )
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    body["input_schema"] = tool.input_schema
    if tool.strict:
        body["strict"] = True
    if tool.input_examples:
        body["input_examples"] = list(tool.input_examples)
    if tool.eager_input_streaming:
        body["eager_input_streaming"] = True
    if tool.deferred:
        body["defer_loading"] = True
    return body


def _choice(choice: ToolChoice) -> dict[str, Any]:
    body: dict[str, Any] = {"type": choice.mode}
    if choice.mode == "tool":
        body["name"] = choice.name
    if choice.mode != "none" and not choice.parallel:
        body["disable_parallel_tool_use"] = True
    return body


def _thinking(thinking: Thinking) -> dict[str, Any]:
    budget = {"budget_tokens": thinking.budget} if thinking.mode == "enabled" else {}
    return {"type": thinking.mode, **budget}


def _output(prompt: Prompt) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if prompt.effort is not None:
        config["effort"] = prompt.effort
    if prompt.output_schema is not None:
        config["format"] = {"type": "json_schema", "schema": prompt.output_schema}
    return config
