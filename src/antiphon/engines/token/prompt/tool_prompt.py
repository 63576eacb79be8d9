"""The texts that describe tools and formats to a model, and the texts of calls and results."""

from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.core.blocks import BLOCK_SEPARATOR, UnknownBlockError, inner_blocks
from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Prompt
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.call_syntax import TAGGED, CallSyntax, to_json
from antiphon.engines.token.prompt.text_parts import TURN_SEPARATOR, BlockPosition, TextPart
from antiphon.wire.content import BlockParam, TextParam, ToolResultParam, ToolUseParam

TOOLS: Final = """\
You can call tools. These are the tools, one in each line:
<tools>"""

CALLS: Final = """\
To call a tool, write its name and its arguments as JSON in this way, and nothing after it:
<tool_call>
{"name": "the name of the tool", "arguments": {"the name of an argument": "its value"}}
</tool_call>
The result comes in the next message, in <tool_response></tool_response>."""

BARE_CALLS: Final = """\
To call a tool, answer with nothing but its name and its arguments as JSON in this way:
{"name": "the name of the tool", "parameters": {"the name of an argument": "its value"}}"""

NOTED_CALLS: Final = """\
To call a tool, write its name and its arguments in this way, and nothing after it:
{call}"""

FORMAT: Final = "Answer with JSON that fits this JSON schema, and with nothing else:\n{schema}"


def tool_prompt(prompt: Prompt, calls: str | None = CALLS) -> tuple[TextPart, ...]:
    """Return the beginning of the system prompt; the same for the same tools and schema.

    `calls` says how tools are called; it is `None` where the model's own template describes them.
    """
    parts: list[TextPart] = []
    if prompt.tools and calls is not None:
        parts.append(TextPart(TOOLS))
        for index, tool in enumerate(prompt.tools):
            if not tool.deferred:
                parts.append(TextPart(to_json(description_of(tool)), ((None, (index,)),)))
        parts.append(TextPart(f"</tools>\n{calls}"))
    if prompt.output_schema is not None:
        text = FORMAT.format(schema=to_json(prompt.output_schema))
        parts.append(TextPart(text, separator=TURN_SEPARATOR))
    return tuple(parts)


def call_instructions(syntax: CallSyntax | Notation) -> str:
    """Return the text that says how tools are called, for prompts without tools in front."""
    if isinstance(syntax, Notation):
        call = Call("the name of the tool", {"the name of an argument": "its value"}, "1")
        return NOTED_CALLS.format(call=syntax.write(call))
    return CALLS if syntax.opening else BARE_CALLS


def block_parts(block: BlockParam, position: BlockPosition) -> Iterator[TextPart]:
    """Yield the parts of a text, a call or a result as text. Raises `UnknownBlockError`."""
    match block:
        case TextParam(text=text):
            yield TextPart(text, (position,))
        case ToolUseParam(name=name, input=given):
            yield TextPart(TAGGED.call(name, given), (position,))
        case ToolResultParam():
            yield from _wrapped(result_parts(block, position))
        case _:
            raise UnknownBlockError(block)


def result_parts(result: ToolResultParam, position: BlockPosition) -> list[TextPart]:
    """Return the parts of a result; an error is marked as one. Raises `UnknownBlockError`."""
    turn, path = position
    texts = list(map(_text, inner_blocks(result))) or [""]
    if result.is_error:
        texts[0] = f"Error: {texts[0]}"
    parts = [TextPart(text, ((turn, (*path, index)),)) for index, text in enumerate(texts)]
    last = parts[-1]
    return [*parts[:-1], TextPart(last.text, (*last.ends, position))]


def _wrapped(parts: Sequence[TextPart]) -> Iterator[TextPart]:
    last = len(parts) - 1
    for index, part in enumerate(parts):
        before = f"<tool_response>{BLOCK_SEPARATOR}" if index == 0 else ""
        after = f"{BLOCK_SEPARATOR}</tool_response>" if index == last else ""
        yield TextPart(before + part.text + after, part.ends)


def _text(block: BlockParam) -> str:
    """Return the text of a block in a result; earlier steps have turned others into text."""
    if isinstance(block, TextParam):
        return block.text
    raise UnknownBlockError(block)
