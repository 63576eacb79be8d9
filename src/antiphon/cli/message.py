"""`antiphon message`: asks a model once and prints the answer as it comes."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from antiphon.cli.command import CommandError, ExamplesFormatter, as_command
from antiphon.cli.output import hint, say_json
from antiphon.cli.talking.attachments import file_block, image_block
from antiphon.cli.talking.connection import Connection, add_connection, connect, told
from antiphon.cli.talking.terminal_text import harmless
from antiphon.cli.talking.usage import Used
from antiphon.settings import Settings

MOST_TOKENS: Final = 4096
"""The tokens of an answer, if nobody says how many and the model can make so many."""
LARGEST_INPUT: Final = 24 * 1024 * 1024
"""The most bytes of the standard input."""

# The status of the command for each way in which an answer ends before it is whole.
CUT: Final = 3
REFUSED: Final = 4
_STATUSES: Final = {
    "max_tokens": (CUT, "the answer is cut: it has --max-tokens {most} tokens"),
    "model_context_window_exceeded": (CUT, "the answer is cut: the model's context is full"),
    "refusal": (REFUSED, "the model refused to answer"),
}
_EXAMPLES = """examples:
  antiphon message "Why is the sky blue?"
  git diff | antiphon message "Write a commit message for this"
  antiphon message --file report.pdf "What are the three main points?"
  antiphon message --image chart.png --json "Describe this" | jq .content

The status is 0 for a whole answer, 1 for an error, 3 for an answer that is cut
and 4 for one that the model refused."""


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    as_command(family, _ask)
    family.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="what to ask; the standard input stands behind it, or alone",
    )
    add_asking(family)
    add_connection(family)


def add_asking(command: argparse.ArgumentParser) -> None:
    """Add the flags that say what is asked of which model."""
    command.add_argument("--model", metavar="ID", help="the model; default: the server's first")
    command.add_argument("--system", metavar="TEXT", help="what the model is told before all else")
    command.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a text or PDF file for the model; may stand several times",
    )
    command.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a PNG, JPEG, GIF or WebP picture; may stand several times",
    )
    command.add_argument(
        "--max-tokens",
        type=_tokens,
        metavar="N",
        help=f"the longest answer; default: {MOST_TOKENS}, or less for a small model",
    )
    command.add_argument(
        "--temperature", type=_temperature, metavar="T", help="0 to 1; default: the model's own"
    )


def _tokens(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of tokens from 1 on")
    return int(text)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number from 0 to 1")
    return value


def parameters(
    arguments: argparse.Namespace, connection: Connection, messages: Sequence[Any]
) -> dict[str, Any]:
    """Return the parameters of a request with these messages. Raises `CommandError`."""
    model = connection.model(arguments.model)
    bound = MOST_TOKENS if model.most_tokens is None else min(MOST_TOKENS, model.most_tokens)
    asked: dict[str, Any] = {
        "model": model.id,
        "max_tokens": arguments.max_tokens or bound,
        "messages": messages,
    }
    if arguments.system:
        asked["system"] = sendable(arguments.system)
    if arguments.temperature is not None:
        asked["temperature"] = arguments.temperature
    return asked


def _ask(arguments: argparse.Namespace, settings: Settings) -> int:
    text = _text(arguments.text)
    content = content_of(text, arguments.file, arguments.image)
    if not content:
        arguments.parser.error('there is nothing to ask: antiphon message "Why is the sky blue?"')
    from antiphon.sdk.errors import APIError  # noqa: PLC0415 - with the client

    with connect(arguments, settings) as connection:
        asked = parameters(arguments, connection, [{"role": "user", "content": content}])
        begun = time.monotonic()
        try:
            message = _whole(connection, asked) if arguments.json else _streamed(connection, asked)
        except APIError as error:
            raise CommandError(told(error)) from error
    if arguments.json:
        say_json(message.to_dict())
    elif sys.stderr.isatty():
        used = Used()
        dollars = connection.dollars(asked["model"], message)
        used.add(message.usage, time.monotonic() - begun, dollars)
        hint(used.line())
    status, why = _STATUSES.get(message.stop_reason or "", (0, ""))
    if why:
        hint(f"antiphon: {why.format(most=asked['max_tokens'])}")
    return status


def _whole(connection: Connection, asked: dict[str, Any]) -> Any:
    return connection.client.messages.create(**asked)


def _streamed(connection: Connection, asked: dict[str, Any]) -> Any:
    """Print the answer as it comes, with a line break at its end; return the message."""
    write = writer(sys.stdout)
    ended = ""
    with connection.client.messages.stream(**asked) as stream:
        try:
            for text in stream.text_stream:
                write(text)
                ended = text or ended
        finally:
            # Also of an answer that is stopped or lost, so that what follows stands alone.
            if not ended.endswith("\n"):
                write("\n")
        return stream.get_final_message()


def writer(stream: Any) -> Callable[[str], None]:
    """Return what writes text at once; a terminal gets no character that controls it."""
    terminal = stream.isatty()

    def write(text: str) -> None:
        stream.write(harmless(text) if terminal else text)
        stream.flush()

    return write


def sendable(text: str) -> str:
    """Return a text that was typed as Unicode: bytes that are none of it become `\ufffd`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(words: Sequence[str]) -> str:
    """Return what is asked: the words, and behind them the standard input if it is no terminal."""
    parts = [sendable(" ".join(words))] if words and words != ["-"] else []
    if not sys.stdin.isatty():
        raw = sys.stdin.buffer.read(LARGEST_INPUT + 1)
        if len(raw) > LARGEST_INPUT:
            raise CommandError(f"the standard input is larger than {LARGEST_INPUT >> 20} MiB")
        try:
            parts.append(raw.decode("utf-8-sig").rstrip("\n"))
        except UnicodeDecodeError as error:
            raise CommandError("the standard input is no text in UTF-8; use --file") from error
    return "\n\n".join(part for part in parts if part.strip())


def content_of(
    text: str, files: Sequence[Path], images: Sequence[Path]
) -> str | list[dict[str, Any]]:
    """Return the content of a turn: files first, as models read them best, then the text."""
    blocks = [*map(file_block, files), *map(image_block, images)]
    if not blocks:
        return text
    if text:
        blocks.append({"type": "text", "text": text})
    return blocks
