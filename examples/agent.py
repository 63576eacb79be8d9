"""An agent that reads and edits the files of one folder: `python examples/agent.py FOLDER TASK`.

The loop asks the model, does what its calls want, and sends the results back, until the model
answers without a call. The model sees the files of the folder and no others.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import anthropic
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam, ToolUseBlock

SYSTEM = """You edit the files of one folder with your tools. Read a file before you edit it. \
When the task is done, say in one sentence what you changed."""
MOST_STEPS = 20
LONGEST_RESULT = 20_000  # characters; the rest of a long file would fill the context


def tool(name: str, description: str, *arguments: str) -> ToolParam:
    """Describe a tool whose arguments are all texts, and all required."""
    return {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": {argument: {"type": "string"} for argument in arguments},
            "required": list(arguments),
            "additionalProperties": False,
        },
    }


TOOLS = [
    tool("list_files", "List the paths of all files."),
    tool("read_file", "Return the text of a file.", "path"),
    tool("write_file", "Create a file, or replace the whole of one.", "path", "text"),
    tool(
        "edit_file",
        "Replace a passage of a file. `old` must stand in it once, to the letter.",
        "path",
        "old",
        "new",
    ),
]


class Folder:
    """The tools. A `ValueError` or `OSError` is told to the model, which can then try again."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list_files(self) -> str:
        files = (path for path in self._root.rglob("*") if path.is_file())
        return "\n".join(sorted(str(path.relative_to(self._root)) for path in files))

    def read_file(self, path: str) -> str:
        return self._inside(path).read_text(encoding="utf-8")[:LONGEST_RESULT]

    def write_file(self, path: str, text: str) -> str:
        file = self._inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return f"Wrote {path}."

    def edit_file(self, path: str, old: str, new: str) -> str:
        file = self._inside(path)
        text = file.read_text(encoding="utf-8")
        found = text.count(old) if old else 0
        if found != 1:
            raise ValueError(f"`old` stands {found} times in {path}; it must stand there once.")
        file.write_text(text.replace(old, new), encoding="utf-8")
        return f"Changed {path}."

    def _inside(self, path: str) -> Path:
        """Return the place of a path, which must lie in the folder, also behind links."""
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root):
            raise ValueError(f"{path} is outside of the folder.")
        return file


def run(call: ToolUseBlock, tools: dict[str, Callable[..., str]]) -> ToolResultBlockParam:
    """Do what a call wants; what goes wrong is the result that the model reads."""
    result: ToolResultBlockParam = {"type": "tool_result", "tool_use_id": call.id}
    try:
        result["content"] = tools[call.name](**call.input)
    except (OSError, TypeError, ValueError) as error:
        result |= {"content": str(error), "is_error": True}
    print(f"{call.name}({call.input.get('path', '')}){' failed' if 'is_error' in result else ''}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with the files")
    parser.add_argument("task", help="what to do with them")
    parser.add_argument("--model", default="claude-local")
    arguments = parser.parse_args()

    client = anthropic.Anthropic()  # reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
    folder = Folder(arguments.folder)
    tools = {one["name"]: getattr(folder, one["name"]) for one in TOOLS}
    messages: list[MessageParam] = [{"role": "user", "content": arguments.task}]
    for _ in range(MOST_STEPS):
        message = client.messages.create(
            model=arguments.model,
            max_tokens=4096,
            system=SYSTEM,
            tools=TOOLS,
            messages=messages,
            cache_control={"type": "ephemeral"},  # each step reads what the one before has written
        )
        for block in message.content:
            if block.type == "text":
                print(block.text)
        if message.stop_reason == "end_turn":
            return
        if message.stop_reason != "tool_use":  # such as max_tokens
            raise SystemExit(f"The answer was cut off: it ended by {message.stop_reason}.")
        calls = [block for block in message.content if block.type == "tool_use"]
        messages.append({"role": "assistant", "content": message.content})
        messages.append({"role": "user", "content": [run(call, tools) for call in calls]})
    raise SystemExit(f"The task was not done in {MOST_STEPS} steps.")


if __name__ == "__main__":
    main()
