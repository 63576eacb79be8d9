"""A loop of ten turns is rendered as Jinja itself renders it, without sentinels, byte for byte."""

import json
from typing import Any

import pytest

from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Prompt, Thinking, Tool, Turn
from antiphon.engines.token.notation.notation import Notation
from antiphon.engines.token.prompt.reasoning_format import THINK
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tool_prompt import call_instructions, tool_prompt
from antiphon.wire.content import TextParam, ThinkingParam, ToolResultParam, ToolUseParam
from engines.token.conftest import NOW, Compiled, Referenced
from support.native_templates import GENERAL, NATIVE
from support.reference_jinja import REFUSED_BY_REFERENCE
from support.template_corpus import every_other

TOOLS = tuple(
    Tool(
        name=name,
        description=f"To {name}.",
        input_schema={
            "type": "object",
            "properties": {"at": {"type": "string", "description": "Where."}},
            "required": ["at"],
        },
    )
    for name in ("look", "find")
)
HARD = 'it\'s "<b>" & \\n\nso'
ROUNDS = 5
MODES = (Thinking(), Thinking(mode="enabled", budget=4000))


def loop(*, thinks: bool) -> tuple[Turn, ...]:
    """Return a question, and rounds of a call and its result."""
    turns = [Turn("user", (TextParam(text="Where is it?"),))]
    for number in range(ROUNDS):
        thought = (ThinkingParam(thinking=f"Thought {number}.", signature=""),) if thinks else ()
        call = ToolUseParam(id=f"call{number:05}", name="look", input={"at": f"{HARD} {number}"})
        result = ToolResultParam(tool_use_id=call.id, content=f"Not <here>, {number}.")
        turns += [Turn("assistant", (*thought, call)), Turn("user", (result,))]
    return tuple(turns)


def called(chat: ChatTemplate, block: ToolUseParam, content: object) -> dict[str, Any]:
    """Return a call and the content beside it, as the template takes them."""
    arguments: Any = block.input
    if isinstance(chat.syntax, Notation):
        content = content or chat.syntax.empty
        if chat.syntax.arguments_as_text:
            arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": block.name, "arguments": arguments}
    call = {"type": "function", "id": block.id, "function": function}
    return {"content": content, "tool_calls": [call]}


def messages(chat: ChatTemplate, turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    """Return turns in the form of transformers."""
    found: list[dict[str, Any]] = []
    if not chat.describes:
        first = tool_prompt(Prompt(turns, 1, tools=TOOLS), call_instructions(chat.syntax))
        text = "".join(part.separator + part.text for part in first)
        found.append({"role": "system", "content": text.removeprefix(first[0].separator)})
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role, "content": ""}
        for block in turn.content:
            match block:
                case TextParam(text=text):
                    message["content"] = text
                case ThinkingParam(thinking=thought) if chat.reasoning.field is not None:
                    message[chat.reasoning.field] = thought
                case ThinkingParam(thinking=thought) if chat.reasoning.as_block:
                    message["content"] = [{"type": "thinking", "thinking": thought}]
                case ThinkingParam(thinking=thought) if chat.reasoning.kept != "never":
                    tags = chat.reasoning.tags or THINK
                    message["content"] = tags.begin + thought + tags.end
                case ToolUseParam():
                    message |= called(chat, block, message["content"])
                case ToolResultParam(tool_use_id=identifier, content=content):
                    message = {"role": "tool", "tool_call_id": identifier, "name": "look"}
                    message["content"] = content
        found.append(message)
    return found


@pytest.mark.parametrize("thinking", MODES, ids=lambda thinking: thinking.mode)
@pytest.mark.parametrize(
    "name",
    every_other(one for one in (*NATIVE, *GENERAL) if one not in REFUSED_BY_REFERENCE),
)
def test_loop_is_rendered_as_by_the_reference(
    compiled: Compiled, referenced: Referenced, name: str, thinking: Thinking
) -> None:
    chat = compiled(name)
    thinks = chat.reasoning.tags is not None
    turns = loop(thinks=thinks)
    prompt = Prompt(turns, 1, tools=TOOLS, thinking=thinking)
    ours = "".join(segment.text for segment in chat.render(prompt).segments)
    described = [{"type": "function", "function": description_of(tool)} for tool in TOOLS]
    reference = referenced(name).render(
        messages=messages(chat, turns),
        tools=described,
        functions=json.dumps([one["function"] for one in described], indent=4),
        datetime=f"{NOW:%Y-%m-%d}",
        documents=None,
        add_generation_prompt=True,
        bos_token="<s>",
        eos_token="</s>",
        **chat.reasoning.variables(thinking, None),
    )
    tags = chat.reasoning.tags
    added = ("", tags.begin, tags.end, tags.nothing) if tags else ("",)
    assert ours in [reference + more for more in added]
