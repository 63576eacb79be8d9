"""Templates of families, for a model whose file has none: known by the control tokens it has.

A base model, or a file that was converted without its template. Only families are here whose format
follows from their tokens: those of Mistral's first models or of DeepSeek write turns in more ways
than one with the same tokens. None of these templates has tools or reasoning.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from antiphon.engines.token.prompt.tokens import Tokenize


class Family(msgspec.Struct, frozen=True):
    """A format of turns. `marks` are its control tokens, `template` is written by us."""

    name: str
    marks: tuple[str, ...]
    template: str


def _turns(turn: str, answer: str) -> str:
    """Return a template that writes each turn alike, and then the beginning of an answer."""
    each = f"{{% for m in messages %}}{turn}{{% endfor %}}"
    return each + f"{{% if add_generation_prompt %}}{answer}{{% endif %}}"


_NO_SYSTEM: Final = (
    "{% if m.role == 'system' %}{{ raise_exception('It has no system turns') }}{% endif %}"
)
_MISTRAL_TURN: Final = (
    "{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
    "{% elif m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}"
)

FAMILIES: Final = (
    Family(
        "ChatML",
        ("<|im_start|>", "<|im_end|>"),
        _turns(
            "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
    ),
    Family(
        "Phi 4",
        ("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
        _turns(
            "<|im_start|>{{ m.role }}<|im_sep|>{{ m.content }}<|im_end|>",
            "<|im_start|>assistant<|im_sep|>",
        ),
    ),
    Family(
        "Llama 3",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        _turns(
            "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ),
    Family(
        "Gemma",
        ("<start_of_turn>", "<end_of_turn>"),
        _turns(
            _NO_SYSTEM + "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
            "{{ m.content | trim }}<end_of_turn>\n",
            "<start_of_turn>model\n",
        ),
    ),
    Family(
        "Phi 3",
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        _turns("<|{{ m.role }}|>\n{{ m.content }}<|end|>\n", "<|assistant|>\n"),
    ),
    Family(
        "Granite",
        ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
        _turns(
            "<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n",
            "<|start_of_role|>assistant<|end_of_role|>",
        ),
    ),
    Family(
        "Mistral",
        ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]"),
        _turns(_MISTRAL_TURN, ""),
    ),
)


async def family_of(tokenize: Tokenize) -> Family | None:
    """Return the family whose marks are control tokens of a model, if there is just one.

    Raises what `tokenize` raises.
    """
    marks = dict.fromkeys(mark for family in FAMILIES for mark in family.marks)
    known = {mark for mark in marks if await _is_control(tokenize, mark)}
    found = [family for family in FAMILIES if known.issuperset(family.marks)]
    # Phi 4 has the marks of ChatML, and one more.
    found = [one for one in found if not any(_is_part(one, other) for other in found)]
    return found[0] if len(found) == 1 else None


def _is_part(one: Family, other: Family) -> bool:
    return set(one.marks) < set(other.marks)


async def _is_control(tokenize: Tokenize, mark: str) -> bool:
    """Whether a mark is one token, and another text where control tokens are not meant."""
    meant: Sequence[int] = await tokenize(mark, control=True)
    plain: Sequence[int] = await tokenize(mark, control=False)
    return len(meant) == 1 and list(plain) != list(meant)
