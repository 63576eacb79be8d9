"""No walk over blocks passes over one that it does not know. Add a walk by a line in `WALKS`."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.core import blocks
from antiphon.core.blocks import (
    UnknownBlockError,
    images_of,
    inner_blocks,
    replace_images,
    rewrite,
    rewrite_blocks,
    text_of,
    walk,
)
from antiphon.core.breakpoints import marks_in, turns_with_marks, without_marks
from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.core.prompt_cache import ChainRoot, chain_of
from antiphon.core.thinking_signatures import restore_thinking, sign_omitted, with_proofs
from antiphon.core.token_bounds import tokens_at_most
from antiphon.core.validation.spots import spots_of
from antiphon.engines.base import EngineError
from antiphon.engines.scripted import ScriptedEngine, ScriptedOptions
from antiphon.engines.upstream.chat_completions.messages import messages_of
from antiphon.engines.upstream.options import estimate
from antiphon.service.content.documents import read_documents
from antiphon.service.content.file_reader import FileReader
from antiphon.wire.content import BlockParam, ThinkingParam, ToolResultParam
from antiphon.wire.messages import MessageParam


class MadeUpParam(BlockParam, tag="made_up", kw_only=True, frozen=True):
    """A block that the wire may have one day."""


UNKNOWN: Any = MadeUpParam()
ROOT = ChainRoot(organization_id="o", workspace_id="w", model="m")
RESULT: Any = ToolResultParam(tool_use_id="toolu_1", content=[UNKNOWN])
HIDDEN = ThinkingParam(thinking="", signature=sign_omitted(b"key", "So."))


def prompt(*blocks: Any) -> Prompt:
    return Prompt((Turn("user", (RESULT, *blocks)),), max_tokens=1)


def marked_inside() -> Prompt:
    """A breakpoint inside of the unknown block: whatever that holds."""
    mark = Breakpoint(0, (0, 0))
    return Prompt((Turn("user", (UNKNOWN,)),), max_tokens=1, breakpoints=(mark,))


WALKS: dict[str, Callable[[], object]] = {
    "inner_blocks": lambda: inner_blocks(UNKNOWN),
    "text_of": lambda: text_of(RESULT),
    "walk": lambda: list(walk([RESULT])),
    "rewrite": lambda: rewrite(prompt(), lambda block: (block,)),
    "rewrite_blocks": lambda: rewrite_blocks([RESULT], lambda block: (block,)),
    "images_of": lambda: list(images_of(prompt())),
    "replace_images": lambda: replace_images(prompt().turns, lambda _: ()),
    "marks_in": lambda: list(marks_in([RESULT])),
    "without_marks": lambda: without_marks(marked_inside()),
    "turns_with_marks": lambda: turns_with_marks(marked_inside()),
    "spots_of": lambda: list(spots_of([MessageParam(role="user", content=[RESULT])])),
    "restore_thinking": lambda: restore_thinking(prompt(HIDDEN)),
    "with_proofs": lambda: with_proofs(prompt(HIDDEN), b"key"),
    "chain_of": lambda: chain_of(prompt(), ROOT),
    "tokens_at_most": lambda: tokens_at_most(prompt()),
    "estimate": lambda: estimate(prompt()),
    "read_documents": lambda: asyncio.run(read_documents(prompt(), FileReader())),
    "scripted": lambda: asyncio.run(ScriptedEngine(ScriptedOptions()).count_tokens(prompt())),
    "chat completions": lambda: messages_of(prompt().turns),
}


def test_block_that_only_inner_blocks_knows_has_no_empty_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "inner_blocks", lambda _: ())
    with pytest.raises(UnknownBlockError, match="MadeUpParam"):
        text_of(UNKNOWN)


@pytest.mark.parametrize("walked", WALKS.values(), ids=WALKS)
def test_unknown_block_raises(walked: Callable[[], object]) -> None:
    with pytest.raises((UnknownBlockError, EngineError), match=r"(?i)made_?up"):
        walked()
