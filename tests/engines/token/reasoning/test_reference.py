"""A chat with thoughts is rendered as Jinja itself renders it, without sentinels, byte for byte."""

from typing import Any

import pytest

from antiphon.core.prompt import Prompt, Thinking, Turn
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.wire.content import TextParam, ThinkingParam
from engines.token.conftest import Compiled, Referenced
from support.reasoning_of_templates import REASONING
from support.template_corpus import every_other

MODES = (Thinking(), Thinking(mode="enabled", budget=4000))
THOUGHTS = ('Is it <b>so</b>?\n\nIt\'s "so".', "{{ why }} & how")
SAID = (
    ("user", "", "The first <question>?"),
    ("assistant", THOUGHTS[0], "The first\nanswer."),
    ("user", "", "The second question?"),
    ("assistant", THOUGHTS[1], "The second answer."),
)


def turns(*, ends: int) -> tuple[Turn, ...]:
    found = []
    for role, thought, text in SAID[:ends]:
        thoughts = (ThinkingParam(thinking=thought, signature=""),) if thought else ()
        found.append(Turn(role, (*thoughts, TextParam(text=text))))
    return tuple(found)


def messages(chat: ChatTemplate, *, ends: int) -> list[dict[str, Any]]:
    """Return the same in the form of transformers."""
    reasoning = chat.reasoning
    assert reasoning.tags is not None
    found: list[dict[str, Any]] = []
    for role, thought, text in SAID[:ends]:
        message: dict[str, Any] = {"role": role, "content": text}
        if thought and reasoning.kept != "never":
            if reasoning.field is not None:
                message[reasoning.field] = thought
            elif reasoning.as_block:
                said = {"type": "text", "text": text}
                message["content"] = [{"type": "thinking", "thinking": thought}, said]
            else:
                message["content"] = reasoning.tags.begin + thought + reasoning.tags.end + text
        found.append(message)
    return found


@pytest.mark.parametrize("name", every_other(REASONING))
def test_chat_is_rendered_as_by_the_reference(
    compiled: Compiled, referenced: Referenced, name: str
) -> None:
    chat, reference = compiled(name), referenced(name)
    for thinking in MODES:
        given: dict[str, Any] = {
            "bos_token": "<s>", "eos_token": "</s>", "documents": None, "tools": None,
            **chat.reasoning.variables(thinking, None),
        }  # fmt: skip
        prompt = Prompt(turns(ends=3), 1, thinking=thinking)
        ours = "".join(segment.text for segment in chat.render(prompt).segments)
        theirs = reference.render(
            messages=messages(chat, ends=3), add_generation_prompt=True, **given
        )
        assert ours.startswith(theirs)
        tags = chat.reasoning.tags
        assert tags is not None
        added = ("", tags.begin, tags.end, tags.nothing, tags.gap, "<|content|>")
        assert ours.removeprefix(theirs) in added
        # The last answer, its thought and all, as the beginning of what is continued.
        prompt = Prompt(turns(ends=4), 1, thinking=thinking)
        ours = "".join(segment.text for segment in chat.render(prompt).segments)
        theirs = reference.render(
            messages=messages(chat, ends=4), add_generation_prompt=False, **given
        )
        if chat.reasoning.kept != "never":
            assert theirs.startswith(ours)
            is_off = thinking.mode == "disabled"  # some show no thoughts then
            assert THOUGHTS[1] in ours or is_off or chat.reasoning.at_calls
