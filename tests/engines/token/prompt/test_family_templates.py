"""A model without a template has that of its tokens, where they are those of one family."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.engines.token.prompt.family_templates import FAMILIES, Family, family_of
from antiphon.engines.token.prompt.template import ChatTemplate
from support.conversation import turn
from support.template_corpus import template_corpus

pytestmark = pytest.mark.anyio

BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "ChatML": ("Qwen-Qwen2.5-7B-Instruct",),
    "Gemma": ("google-gemma-2-2b-it",),
    "Phi 3": ("microsoft-Phi-3.5-mini-instruct",),
    "Granite": (
        "ibm-granite-granite-3.3-2B-Instruct",
        "ibm-granite-granite-4.0",
        "ibm-granite-granite-4.1",
    ),
    "Mistral": (
        "Mistral-Small-3.2-24B-Instruct-2506",
        "unsloth-mistral-Devstral-Small-2507",
    ),
}
"""Templates that models of a family were published with."""

SESSION = (
    turn("system", "Be brief."),
    turn("user", "One or two?"),
    turn("assistant", "Two."),
    turn("user", "Three?"),
)


class Vocabulary:
    """Tokenizes by letters, but for control tokens and texts that are always one token."""

    def __init__(self, control: Sequence[str], always: Sequence[str] = ()) -> None:
        self._control = control
        self._always = always

    async def __call__(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        del ends
        if text in self._always or (control and text in self._control):
            return [hash(text)]
        return [ord(letter) for letter in text]


def written(source: str, turns: Sequence[Turn], *tools: Tool) -> str:
    chat = ChatTemplate(source, bos="", eos="</s>")
    return "".join(part.text for part in chat.render(Prompt(tuple(turns), 1, tools=tools)).segments)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
async def test_family_is_known_by_its_marks(family: Family) -> None:
    others = ("<s>", "</s>", "<|endoftext|>", "<pad>")
    assert await family_of(Vocabulary((*others, *family.marks))) is family
    for mark in family.marks:
        rest = [one for one in family.marks if one != mark]
        assert await family_of(Vocabulary(rest)) is not family


@pytest.mark.parametrize(
    "vocabulary",
    [
        Vocabulary(()),
        Vocabulary(("<s>", "</s>", "[INST]", "[/INST]")),
        # Two families: a model was trained on with tokens of another one.
        Vocabulary((*BY_NAME["Llama 3"].marks, *BY_NAME["ChatML"].marks)),
        Vocabulary((*BY_NAME["Gemma"].marks, *BY_NAME["Phi 4"].marks)),
        # What is one token in every text is not a mark that only a template can write.
        Vocabulary((), BY_NAME["ChatML"].marks),
        Vocabulary(("<|im_start|>",), ("<|im_end|>",)),
    ],
)
async def test_tokens_of_no_family_or_of_several_are_not_guessed(vocabulary: Vocabulary) -> None:
    assert await family_of(vocabulary) is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_template_writes_what_the_published_ones_write(name: str, models_dir: Path) -> None:
    corpus = template_corpus(models_dir)
    expected = written(BY_NAME[name].template, SESSION)
    assert [written(corpus[one], SESSION) for one in PUBLISHED[name]] == [expected] * len(
        PUBLISHED[name]
    )


def test_llama_3_writes_what_its_model_card_says() -> None:
    assert written(BY_NAME["Llama 3"].template, SESSION) == (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nOne or two?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nTwo.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nThree?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_phi_4_writes_what_its_model_card_says() -> None:
    assert written(BY_NAME["Phi 4"].template, SESSION) == (
        "<|im_start|>system<|im_sep|>Be brief.<|im_end|>"
        "<|im_start|>user<|im_sep|>One or two?<|im_end|>"
        "<|im_start|>assistant<|im_sep|>Two.<|im_end|>"
        "<|im_start|>user<|im_sep|>Three?<|im_end|>"
        "<|im_start|>assistant<|im_sep|>"
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_template_takes_every_conversation(family: Family) -> None:
    tool = Tool(name="look", input_schema={"type": "object"})
    begun = written(family.template, SESSION[1:], tool)
    assert "look" in begun
    prefilled = written(family.template, (*SESSION, turn("assistant", "It is ")))
    assert prefilled.endswith("It is ")
    directed = (*SESSION, turn("system", "In French."), turn("assistant", "Trois."), SESSION[1])
    texts = written(family.template, directed)
    assert texts.index("Three?") < texts.index("In French.") < texts.index("Trois.")
