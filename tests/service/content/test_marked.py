"""Breakpoints of the prompt cache stay behind their content while a request becomes a prompt."""

from typing import Any

import msgspec
import pytest

from antiphon.core.blocks import BLOCK_SEPARATOR
from antiphon.core.breakpoints import turns_with_marks
from antiphon.core.prompt import Prompt
from antiphon.core.thinking_signatures import (
    check_replay,
    restore_thinking,
    sign_omitted,
    with_proofs,
)
from antiphon.core.validation import prompt_for
from antiphon.service.content.documents import read_documents
from antiphon.service.content.file_reader import FileReader
from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.messages import CreateMessageParams
from support.marked_requests import MarkedRequest, Prefix, prefixes
from support.pdf import pdf
from support.requests import ABLE, EPHEMERAL, OLD, params, text, user

pytestmark = pytest.mark.anyio

KEY = b"key"
DECODER = BodyDecoder(CreateMessageParams)


async def prompt_of(marked: MarkedRequest, file_reader: FileReader) -> Prompt:
    """Do with a request all that the service does before an engine gets it."""
    params = DECODER.decode(msgspec.json.encode(marked.body))
    prompt = prompt_for(params, ABLE, OLD)
    check_replay(params.messages, KEY)
    read = await read_documents(with_proofs(restore_thinking(prompt), KEY), file_reader)
    return read.prompt


def prefixes_of(prompt: Prompt, marked: MarkedRequest) -> list[Prefix]:
    tools: list[Any] = [msgspec.to_builtins(tool) for tool in prompt.tools]
    for mark in prompt.breakpoints:
        if mark.turn is None:
            tools[mark.path[0]]["cache_control"] = {"ttl": mark.ttl}
    turns = [msgspec.to_builtins(turn.content) for turn in turns_with_marks(prompt)]
    return prefixes([tools, turns], marked.meanings)


async def test_every_breakpoint_lies_behind_the_content_that_the_caller_marked(
    file_reader: FileReader,
) -> None:
    for seed in range(300):
        marked = MarkedRequest(
            seed, hidden=lambda word: sign_omitted(KEY, word), paged=lambda word: pdf([word])
        )
        prompt = await prompt_of(marked, file_reader)
        assert prefixes_of(prompt, marked) == marked.prefixes, seed
        carried = [mark for turn in prompt.turns for mark in msgspec.to_builtins(turn.content)]
        assert all(block.get("cache_control") is None for block in carried), seed


async def test_text_of_a_document_is_the_same_with_a_breakpoint_inside(
    file_reader: FileReader,
) -> None:
    async def told(*marked: int) -> tuple[str, int]:
        content: list[Any] = [text(words) for words in ("One.", "Two.", "Three.")]
        for index in marked:
            content[index]["cache_control"] = EPHEMERAL
        source = {"type": "content", "content": content}
        document = {"type": "document", "title": "T", "source": source}
        prompt = prompt_for(params(user([document])), ABLE, OLD)
        texts = (await read_documents(prompt, file_reader)).prompt.turns[-1].texts
        return BLOCK_SEPARATOR.join(texts), len(texts)

    whole, _ = await told()
    assert await told(0) == await told(1) == (whole, 2)
    assert await told(0, 2) == (whole, 3)
