"""A conversation: turns, answers as they come, and what can be typed besides."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Final

from antiphon.cli.command import CommandError
from antiphon.cli.message import parameters, sendable
from antiphon.cli.new_file import new_file
from antiphon.cli.talking.attachments import file_block, image_block, path_of
from antiphon.cli.talking.connection import Connection, Model, told
from antiphon.cli.talking.lines import Lines
from antiphon.cli.talking.terminal_text import DIM, PLAIN, MarkdownWriter, harmless
from antiphon.cli.talking.usage import Used
from antiphon.sdk.errors import APIError

COMMANDS: Final = {
    "/help": "list these",
    "/model": "say which models there are; with an id, go on with that one",
    "/system": "say what the model is told before all else; with a text, tell it that",
    "/file": "give the next question a text or PDF file",
    "/image": "give the next question a picture",
    "/retry": "ask the last question again",
    "/undo": "forget the last question and its answer",
    "/clear": "forget the whole conversation",
    "/save": "write the conversation into a new file, as Markdown",
    "/usage": "say what the conversation took so far",
    "/exit": "end it, as Ctrl-D does",
}
_ENDS: Final = {"/exit", "/quit", "/bye", "/q"}
_CUT: Final = {
    "max_tokens": "the answer is cut: --max-tokens makes room for more",
    "model_context_window_exceeded": "the model's context is full: /clear begins anew",
    "refusal": "the model refused to answer",
}


class Conversation:
    """Talks until the input ends. All that it knows is in memory, and gone with it."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        connection: Connection,
        model: Model,
        arguments: argparse.Namespace,
        *,
        lines: Lines,
        styled: bool,
        write: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._model = model
        self._arguments = arguments
        self._lines = lines
        self._styled = styled
        self._write = write
        self._now = now
        self._messages: list[dict[str, Any]] = []
        self._attached: list[dict[str, Any]] = []
        self._used = Used()

    def attach(self, blocks: list[dict[str, Any]]) -> None:
        """Give blocks to the next question."""
        self._attached += blocks

    def run(self) -> int:
        """Talk until the end; return the status of the command."""
        self._note(f"{self._model.id}. /help says what can be typed; Ctrl-D ends.")
        interrupted = False
        while True:
            try:
                turn = self._lines.turn()
            except EOFError:
                self._write("\n" if self._styled else "")
                break
            except KeyboardInterrupt:
                if interrupted:
                    self._write("\n")
                    break
                interrupted = True
                self._write("\n")
                self._note("Ctrl-C again ends, as Ctrl-D does.")
                continue
            interrupted = False
            if turn.strip() in _ENDS:
                break
            self._take(sendable(turn))
        if self._used.answers:
            self._note(self._used.summary())
        return 0

    def _take(self, turn: str) -> None:
        """Do what a turn says: a command, or a question."""
        stripped = turn.strip()
        if not stripped:
            return
        try:
            if stripped.startswith("/") and not stripped.startswith("//"):
                word, _, rest = stripped.partition(" ")
                self._command(word, rest.strip())
            else:
                # Two slashes begin a question that begins with one.
                self._question(stripped[1:] if stripped.startswith("//") else turn)
        except CommandError as error:
            self._note(str(error))

    def _command(self, word: str, rest: str) -> None:  # noqa: C901 - one line for each
        if word == "/help":
            width = max(map(len, COMMANDS))
            for name, does in COMMANDS.items():
                self._note(f"{name:<{width}}  {does}")
        elif word == "/model":
            self._choose_model(rest)
        elif word == "/system":
            if rest:
                self._arguments.system = rest
            self._note(self._arguments.system or "The model is told nothing before.")
        elif word in {"/file", "/image"}:
            self._attach_path(word, rest)
        elif word == "/retry":
            self._retry()
        elif word == "/undo":
            self._note("Forgotten." if self._forget_last() else "There is no question yet.")
        elif word == "/clear":
            self._messages.clear()
            self._attached.clear()
            self._note("Forgotten.")
        elif word == "/save":
            self._save(rest)
        elif word == "/usage":
            self._note(self._used.summary() if self._used.answers else "Nothing yet.")
        else:
            near = get_close_matches(word, COMMANDS, 1, 0.5)
            meant = f"did you mean {near[0]}?" if near else "/help lists what there is"
            raise CommandError(
                f"there is no {word[:40]}; {meant} A question that begins with a slash has two"
            )

    def _choose_model(self, wanted: str) -> None:
        if wanted:
            self._model = self._connection.model(wanted)
            self._arguments.model = self._model.id
            self._note(f"{self._model.id} answers from here on.")
            return
        for model in self._connection.models:
            mark = "*" if model.id == self._model.id else " "
            self._note(f"{mark} {model.id}")

    def _attach_path(self, word: str, rest: str) -> None:
        if not rest:
            raise CommandError(f"{word} needs the path of a file")
        path = path_of(rest)
        self._attached.append(file_block(path) if word == "/file" else image_block(path))
        self._note(f"{path.name} goes with the next question.")

    def _retry(self) -> None:
        question = next((one for one in self._messages[::-1] if one["role"] == "user"), None)
        if question is None:
            raise CommandError("there is no question yet")
        self._forget_last()
        self._messages.append(question)
        self._answer()

    def _forget_last(self) -> bool:
        """Forget the last question and what came behind it."""
        for index in range(len(self._messages) - 1, -1, -1):
            if self._messages[index]["role"] == "user":
                del self._messages[index:]
                return True
        return False

    def _question(self, text: str) -> None:
        content: Any = text
        if self._attached:
            content = [*self._attached, {"type": "text", "text": text}]
            self._attached = []
        if self._messages and self._messages[-1]["role"] == "user":
            # The last one was not answered.
            self._messages.pop()
        self._messages.append({"role": "user", "content": content})
        self._answer()

    def _answer(self) -> None:
        """Ask what stands last, and print the answer as it comes.

        An answer that is stopped or fails stays in the conversation as far as it came. A question
        without any answer stays for /retry, until the next question.
        """
        asked = parameters(self._arguments, self._connection, self._messages)
        # The conversation grows at its end, so all before is read from the prompt cache.
        asked["cache_control"] = {"type": "ephemeral"}
        begun = self._now()
        shown = MarkdownWriter(self._write, styled=self._styled)
        came: list[str] = []
        try:
            with self._connection.client.messages.stream(**asked) as stream:
                for text in stream.text_stream:
                    came.append(text)
                    shown.feed(text)
                message = stream.get_final_message()
        except KeyboardInterrupt:
            self._end(shown)
            self._note("Stopped.")
            self._keep("".join(came))
            return
        except APIError as error:
            self._end(shown)
            self._note(f"{told(error)}. /retry asks again.")
            self._keep("".join(came))
            return
        self._end(shown)
        if message.content:  # a server takes no turn of nothing
            self._messages.append({"role": "assistant", "content": message.content})
        dollars = self._connection.dollars(asked["model"], message)
        self._used.add(message.usage, self._now() - begun, dollars)
        if why := _CUT.get(message.stop_reason or ""):
            self._note(why)

    def _keep(self, text: str) -> None:
        """Keep the part of an answer that came, without which two questions would follow."""
        if text.strip():
            self._messages.append({"role": "assistant", "content": text.rstrip()})

    def _end(self, shown: MarkdownWriter) -> None:
        shown.end()
        self._write("\n")

    def _save(self, rest: str) -> None:
        if not rest:
            raise CommandError("/save needs the name of a new file")
        path = path_of(rest)
        try:
            with new_file(path) as file:
                file.write(transcript(self._messages).encode())
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}") from error
        self._note(f"{path} has the conversation.")

    def _note(self, text: str) -> None:
        with suppress(BrokenPipeError):
            text = harmless(text)
            self._write(f"{DIM}{text}{PLAIN}\n" if self._styled else f"{text}\n")


def transcript(messages: list[dict[str, Any]]) -> str:
    """Return a conversation as Markdown: who says what, files by their names."""
    parts = []
    for message in messages:
        who = "You" if message["role"] == "user" else "Model"
        parts.append(f"## {who}\n\n{_text_of(message['content'])}\n")
    return "\n".join(parts)


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(filter(None, map(_block_text, content)))


def _block_text(block: Any) -> str:
    def field(name: str) -> Any:
        return block.get(name) if isinstance(block, dict) else getattr(block, name, None)

    if (text := field("text")) is not None:
        return str(text)
    kind = field("type")
    return f"[{field('title') or kind}]" if kind in {"document", "image"} else ""
