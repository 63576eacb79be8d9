"""The conversations on which a template is tried when it is compiled."""

from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.prompt import Tool, Turn
from antiphon.engines.token.notation.lab import Message
from antiphon.engines.token.notation.notation import Call
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
