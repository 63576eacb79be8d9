"""The conversations on which a template is tried when it is compiled."""

from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.prompt import Tool, Turn
from antiphon.engines.token.notation.lab import Message
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.jinja_environment import to_json
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

PROBE_INPUT: Final = {"of": "a & b"}
PROBE_TOOL: Final = Tool(name="probe", input_schema={"type": "object"}, description="Does this.")
PROBE: Final = (
    Turn("user", (TextParam(text="Call it."),)),
    Turn("assistant", (ToolUseParam(id="toolu_1", name="probe", input=PROBE_INPUT),)),
    Turn("user", (ToolResultParam(tool_use_id="toolu_1", content="It did."),)),
)

_ASKED: Final = Turn("user", (TextParam(text="Well?"),))
SAID: Final[Mapping[str, tuple[Turn, ...]]] = {
    "user": (_ASKED,),
    "system": (Turn("system", (TextParam(text="Be exact."),)), _ASKED),
    "assistant": (_ASKED, Turn("assistant", (TextParam(text="Well."),)), _ASKED),
    "tool": PROBE,
}
"""A conversation with a message of each role, and no other role that it can do without."""
TOOLS_OF: Final = {"tool": (PROBE_TOOL,)}
"""The tools that these conversations need."""

QUESTION = "Call it."
RESULT = "It did."


def plain_messages(answers: Sequence[Sequence[Call]], notation: Notation) -> list[Message]:
    """Return the conversation as the template of a notation takes it."""
    messages: list[Message] = [{"role": "user", "content": QUESTION}]
    for calls in answers:
        placed = [_placed(call, as_text=notation.arguments_as_text) for call in calls]
        messages.append({"role": "assistant", "content": notation.empty, "tool_calls": placed})
        for call in calls:
            result = {"role": "tool", "tool_call_id": call.identifier, "name": call.name}
            messages.append({**result, "content": RESULT})
    return messages


def _placed(call: Call, *, as_text: bool) -> Message:
    given = dict(call.arguments)
    function = {"name": call.name, "arguments": to_json(given) if as_text else given}
    return {"type": "function", "id": call.identifier, "function": function}


def turns_of(answers: Sequence[Sequence[Call]]) -> tuple[Turn, ...]:
    """Return the conversation as that of a caller."""
    turns = [Turn("user", (TextParam(text=QUESTION),))]
    for calls in answers:
        blocks = [
            ToolUseParam(id=call.identifier, name=call.name, input=dict(call.arguments))
            for call in calls
        ]
        results = [ToolResultParam(tool_use_id=call.id, content=RESULT) for call in blocks]
        turns += [Turn("assistant", tuple(blocks)), Turn("user", tuple(results))]
    return tuple(turns)
