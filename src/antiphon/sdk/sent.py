"""What programs give as messages, as JSON that can be sent.

Messages and blocks may be plain dicts, structs of `antiphon.wire`, or parts of an answer, which go
back with all that came. A file in place of the base64 text of a source is read and encoded.
"""

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.message import Message


class ReadableFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes: ...


BlockInput: TypeAlias = Mapping[str, Any] | msgspec.Struct
"""A content block: a dict, a struct of a request, or a block of an answer."""

MessageInput: TypeAlias = Mapping[str, Any] | msgspec.Struct
"""A message: a dict with `role` and `content`, a struct of a request, or an answer."""

# The first bytes of the files that the API takes, and what they are.
MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def sent_messages(messages: Iterable[MessageInput]) -> list[Any]:
    """Return messages as they are sent. Raises `OSError` for a file that cannot be read."""
    return [
        # Most are this, and need no look at what else they could be.
        message
        if type(message) is dict and type(message.get("content")) is str
        else _sent_message(message)
        for message in messages
    ]


def sent_params(params: Mapping[str, Any] | msgspec.Struct) -> Any:
    """Return the parameters of a request of a batch as they are sent."""
    if not isinstance(params, Mapping):
        return params
    sent = dict(params)
    if "messages" in sent:
        sent["messages"] = sent_messages(sent["messages"])
    if "system" in sent:
        sent["system"] = sent_content(sent["system"])
    return sent


def sent_content(content: Any) -> Any:
    """Return the content of a message, of a result of a tool, or a system prompt."""
    if isinstance(content, str) or content is None:
        return content
    if isinstance(content, Mapping | Answered):
        raise TypeError("content is one block; it is a string or a list of blocks")
    return [_sent_block(block) for block in content]


def _sent_message(message: MessageInput) -> Any:
    if isinstance(message, Message):
        return message.to_param()
    if isinstance(message, Answered):
        raise TypeError(f"a message is a {type(message).__name__}; it is a block of one")
    if not isinstance(message, Mapping):
        return message
    content = message.get("content")
    return message if isinstance(content, str) else {**message, "content": sent_content(content)}


def _sent_block(block: Any) -> Any:
    if isinstance(block, Answered):
        return block.to_dict()
    if not isinstance(block, Mapping):
        return block
    source, content = block.get("source"), block.get("content")
    if isinstance(source, Mapping):
        return {**block, "source": _sent_source(source)}
    if isinstance(content, list | tuple):
        return {**block, "content": sent_content(content)}
    return block


def _sent_source(source: Mapping[str, Any]) -> Any:
    if source.get("type") == "content":
        return {**source, "content": sent_content(source.get("content"))}
    data = source.get("data")
    if source.get("type") != "base64" or isinstance(data, str) or data is None:
        return source
    read = _bytes_of(data)
    return {
        "type": "base64",
        "media_type": source.get("media_type") or _media_type(read),
        **{name: value for name, value in source.items() if name not in {"type", "media_type"}},
        "data": b64encode(read).decode("ascii"),
    }


def _bytes_of(data: Any) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, os.PathLike):
        with open(data, "rb") as file:  # noqa: PTH123 - any path-like thing
            return file.read()
    read = data.read() if hasattr(data, "read") else None
    if not isinstance(read, bytes):
        raise TypeError("`data` of a base64 source is text, bytes, a path, or a file of bytes")
    return read


def _media_type(read: bytes) -> str:
    for beginning, kind in MAGIC:
        if read.startswith(beginning):
            return kind
    if read[:4] == b"RIFF" and read[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("the kind of a file is not plain from its bytes: give `media_type`")
