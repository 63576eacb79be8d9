"""What Antiphon tells a model about tools and formats, and blocks in words models know."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import UNSET

from antiphon.core.prompt import Prompt, Tool
from antiphon.engines.token.prompt.call_syntax import TAGGED, CallSyntax, to_json
from antiphon.wire.content import (
    ContentParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolResultParam,
    ToolUseParam,
)

BLOCK_SEPARATOR: Final = "\n"
"""Between the text blocks of one turn. Templates take one string; llama.cpp and vLLM join blocks
with a newline too, and nothing in between would glue the words of two messages together."""

TOOLS: Final = """\
You can call tools. These are the tools, one in each line:
<tools>
{tools}
</tools>
To call a tool, write its name and its arguments as JSON in this way, and nothing after it:
<tool_call>
{{"name": "the name of the tool", "arguments": {{"the name of an argument": "its value"}}}}
</tool_call>
The result comes in the next message, in <tool_response></tool_response>."""

FORMAT: Final = "Answer with JSON that fits this JSON schema, and with nothing else:\n{schema}"


def tool_prompt(prompt: Prompt, *, native: bool) -> list[str]:
    """Say what the system prompt begins with; the same for the same tools and schema.

    `native` says that the model's own template tells it about tools.
    """
    texts = []
    if prompt.tools and not native:
        lines = "\n".join(to_json(described(tool)) for tool in prompt.tools)
        texts.append(TOOLS.format(tools=lines))
    if prompt.output_schema is not None:
        texts.append(FORMAT.format(schema=to_json(prompt.output_schema)))
    return texts


def described(tool: Tool) -> dict[str, Any]:
    """Describe a tool as models have seen it in training."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.input_examples:
        function["examples"] = list(tool.input_examples)
    return function


def spoken(blocks: Sequence[ContentParam], syntax: CallSyntax = TAGGED) -> str:
    """Make one string of a turn, which is what templates take."""
    return BLOCK_SEPARATOR.join(_told(blocks, syntax))


def _told(blocks: Sequence[Any], syntax: CallSyntax) -> Iterator[str]:
    for block in blocks:
        match block:
            case TextParam(text=text):
                yield text
            case ToolUseParam(name=name, input=given):
                yield syntax.call(name, given)
            case ToolResultParam():
                yield f"<tool_response>\n{result_text(block)}\n</tool_response>"
            case _:
                pass


def result_text(result: ToolResultParam) -> str:
    """Make one string of a tool's result, which says so if it is an error."""
    content = result.content
    if content is None or content is UNSET:
        text = ""
    elif isinstance(content, str):
        text = content
    else:
        text = BLOCK_SEPARATOR.join(_shown(block) for block in content)
    return f"Error: {text}" if result.is_error else text


def _shown(block: object) -> str:
    match block:
        case TextParam(text=text):
            return text
        case SearchResultParam():
            return BLOCK_SEPARATOR.join([block.title, block.source, *map(_shown, block.content)])
        case DocumentParam():
            return BLOCK_SEPARATOR.join([block.title or "", _source_text(block)]).strip()
        case ImageParam():
            return "[image]"
        case _:
            return ""


def _source_text(document: DocumentParam) -> str:
    match document.source:
        case PlainTextSource(data=data):
            return data
        case ContentSource(content=str(text)):
            return text
        case ContentSource(content=blocks):
            return BLOCK_SEPARATOR.join(map(_shown, blocks))
        case _:
            return "[document]"
