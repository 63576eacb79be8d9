"""The conversation by which a notation is proven: a question, calls, and their results."""

from collections.abc import Sequence

from antiphon.core.prompt import Turn
from antiphon.engines.token.notation.lab import Message
from antiphon.engines.token.notation.notation import Call
from antiphon.engines.token.prompt.jinja_environment import to_json
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

QUESTION = "Call it."
RESULT = "It did."


def plain_messages(calls: Sequence[Call], *, as_text: bool) -> list[Message]:
    """Return the conversation as templates take it; `as_text`: with arguments as a JSON text."""
    answer: Message = {"role": "assistant", "content": "", "tool_calls": []}
    results: list[Message] = []
    for call in calls:
        given = dict(call.arguments)
        function = {"name": call.name, "arguments": to_json(given) if as_text else given}
        placed = {"type": "function", "id": call.identifier, "function": function}
        answer["tool_calls"].append(placed)
        result = {"role": "tool", "tool_call_id": call.identifier, "name": call.name}
        results.append({**result, "content": RESULT})
    return [{"role": "user", "content": QUESTION}, answer, *results]


def turns_of(calls: Sequence[Call]) -> tuple[Turn, ...]:
    """Return the conversation as that of a caller."""
    blocks = [
        ToolUseParam(id=call.identifier, name=call.name, input=dict(call.arguments))
        for call in calls
    ]
    results = [ToolResultParam(tool_use_id=call.id, content=RESULT) for call in blocks]
    question = (TextParam(text=QUESTION),)
    return (
        Turn("user", question), Turn("assistant", tuple(blocks)), Turn("user", tuple(results)),
    )  # fmt: skip
