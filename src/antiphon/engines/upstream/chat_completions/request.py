"""A prompt as the body of a request for a chat completion."""

from typing import Any, Final

import msgspec

from antiphon.engines.base import Prompt, Tool, nearest
from antiphon.engines.upstream.chat_completions.forced import (
    call_instructions,
    is_forced,
    schema_of,
)
from antiphon.engines.upstream.chat_completions.messages import Message, messages_of
from antiphon.engines.upstream.chat_completions.options import ChatOptions

# The priority of requests of batches. vLLM takes lower ones first, and 0 is that of all others.
BATCH_PRIORITY: Final = 100
CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def conversation_of(prompt: Prompt, options: ChatOptions) -> dict[str, Any]:
    """Return the part of the body that makes the prompt: messages and tools."""
    messages = messages_of(prompt.turns, thinking=options.thinking)
    body: dict[str, Any] = {"messages": messages}
    if is_forced(prompt, options):
        body["messages"] = _with_instructions(call_instructions(prompt), messages)
    elif prompt.tools:
        body["tools"] = [_tool(tool, strict=_is_strict(tool, prompt)) for tool in prompt.tools]
    if variables := _variables(prompt, options):
        body["chat_template_kwargs"] = variables
    if options.prefill and prompt.turns[-1].role == "assistant":
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return body


def _variables(prompt: Prompt, options: ChatOptions) -> dict[str, Any]:
    """Return the variables of the template. llama-server reads the effort only here."""
    variables: dict[str, Any] = {}
    if options.thinking:
        variables = {
            options.thinking_switch: prompt.thinking.mode != "disabled",
            **_effort(prompt, options),
        }
    return variables | options.chat_template_kwargs


def _effort(prompt: Prompt, options: ChatOptions) -> dict[str, str]:
    if prompt.effort is None or not options.levels:
        return {}
    return {"reasoning_effort": nearest(prompt.effort, options.levels)}


def request_of(
    prompt: Prompt, options: ChatOptions, model: str, max_tokens: int, *, salted: bool = False
) -> bytes:
    """Return the body of a request for at most `max_tokens`, as a stream.

    `salted` is whether the server knows the salt of a prompt, and keeps its prefix cache by it.
    """
    body = {
        "model": model,
        **conversation_of(prompt, options),
        **_sampling(prompt),
        **_effort(prompt, options),
        **_format(prompt, options),
        options.max_tokens_field: max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        # vLLM refuses an empty one.
        **({"cache_salt": prompt.cache_salt} if salted and prompt.cache_salt else {}),
        **({"priority": BATCH_PRIORITY} if options.priority and prompt.hints.in_batch else {}),
        **options.extra,
    }
    return msgspec.json.encode(body)


def _is_strict(tool: Tool, prompt: Prompt) -> bool:
    """Return whether the input must fit: vLLM holds even a forced tool to its schema only then."""
    choice = prompt.tool_choice
    forced = choice.mode in {"any", "tool"} and choice.name in {None, tool.name}
    return tool.strict or forced


def _tool(tool: Tool, *, strict: bool) -> dict[str, Any]:
    described = [tool.description] if tool.description else []
    if tool.input_examples:
        # This vocabulary has no field for examples; here the model can read them.
        examples = "\n".join(msgspec.json.encode(one).decode() for one in tool.input_examples)
        described.append(f"Examples of its input:\n{examples}")
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if described:
        function["description"] = "\n\n".join(described)
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _sampling(prompt: Prompt) -> dict[str, Any]:
    given = {"top_p": prompt.top_p, "top_k": prompt.top_k}
    return {
        "temperature": prompt.temperature,
        **{name: value for name, value in given.items() if value is not None},
    }


def _with_instructions(instructions: str, messages: list[Message]) -> list[Message]:
    """Put instructions into the first system message: some templates take only one."""
    first = messages[0]
    if first["role"] != "system" or not isinstance(first["content"], str):
        return [{"role": "system", "content": instructions}, *messages]
    return [{**first, "content": f"{instructions}\n\n{first['content']}"}, *messages[1:]]


def _format(prompt: Prompt, options: ChatOptions) -> dict[str, Any]:
    """Return the parameters of the form of the answer: calls of tools, or JSON."""
    if is_forced(prompt, options):
        return {"response_format": _json_schema("call", schema_of(prompt))}
    body: dict[str, Any] = {}
    choice = prompt.tool_choice
    if prompt.tools:
        named = {"type": "function", "function": {"name": choice.name}}
        body["tool_choice"] = named if choice.mode == "tool" else CHOICES[choice.mode]
        if not choice.parallel:
            body["parallel_tool_calls"] = False
    if prompt.output_schema is not None:
        body["response_format"] = _json_schema("answer", prompt.output_schema)
    return body


def _json_schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    named = {"name": name, "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}
