"""A thought that comes back is written as the model wrote it: its margin is the template's."""

import pytest

from antiphon.core.prompt import Prompt, Thinking, Turn
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.wire.content import TextParam, ThinkingParam

KEEPING = """\
{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>
{{ m.reasoning_content }}
</think>

{% endif %}{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.mark.parametrize(
    ("thought", "written"),
    [("Hm.\n", "Hm."), ("Hm.", "Hm."), ("Hm.\n\n", "Hm.\n"), ("Hm.\n So", "Hm.\n So")],
)
def test_margin_behind_a_thought_is_written_once(thought: str, written: str) -> None:
    turns = (
        Turn("user", (TextParam(text="Why?"),)),
        Turn(
            "assistant",
            (ThinkingParam(thinking=thought, signature=""), TextParam(text="Because.")),
        ),
        Turn("user", (TextParam(text="Oh."),)),
    )
    chat = ChatTemplate(KEEPING, bos="", eos="")
    prompt = Prompt(turns, 1, thinking=Thinking(mode="enabled", budget=1024))
    text = "".join(segment.text for segment in chat.render(prompt).segments)
    assert f"<think>\n{written}\n</think>\n\nBecause." in text
