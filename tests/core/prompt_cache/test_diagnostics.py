"""Where a prompt departs from the one before it."""

from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.prompt_cache import CacheMiss, Chain, chain_of, fingerprint_of, first_miss
from antiphon.core.prompt_cache.diagnostics import MOST_BLOCKS
from support.images import image_block
from support.prompt_cache import ROOT, prompt_of
from support.requests import assistant, system, text, tool, user

# So long that the JSON around a text weighs nothing: a character is a token, nearly.
FIRST = [user("a" * 40_000)]
SECOND = [*FIRST, assistant("b" * 30_000), user("c" * 30_000)]
TOOLS = [tool("f")]
TOKENS = 120_000


def chain(*messages: dict[str, Any], **fields: Any) -> Chain:
    return chain_of(
        prompt_of(*messages, **{"tools": TOOLS, "system": "s" * 20_000, **fields}), ROOT
    )


def missed(before: Chain, after: Chain, tokens: int = TOKENS) -> CacheMiss | None:
    return first_miss(fingerprint_of(before, tokens), after)


def test_conversation_that_goes_on_misses_nothing() -> None:
    assert missed(chain(*FIRST), chain(*SECOND)) is None
    assert missed(chain(*SECOND), chain(*SECOND)) is None
    assert missed(chain(*FIRST), chain(*FIRST, user("more"))) is None
    assert missed(chain(*SECOND), chain(*SECOND, system("Be brief"))) is None


def test_answer_that_is_asked_for_again_misses_nothing() -> None:
    assert missed(chain(*SECOND), chain(*FIRST)) is None


def test_breakpoints_that_move_miss_nothing() -> None:
    mark = {"type": "ephemeral"}
    assert missed(chain(*FIRST, cache_control=mark), chain(*SECOND, cache_control=mark)) is None


@pytest.mark.parametrize("field", [{"model": "other"}, {"speed": "fast"}])
def test_another_model_or_speed_is_reported_before_everything(field: dict[str, str]) -> None:
    prompt = prompt_of(*SECOND, tools=[tool("g")])
    other = chain_of(prompt, replace(ROOT, **field))
    assert missed(chain(*FIRST), other) == CacheMiss("model_changed", TOKENS)


def test_changed_tools_are_reported_before_the_system_prompt() -> None:
    after = chain(*SECOND, tools=[tool("g")], system="t")
    assert missed(chain(*FIRST), after) == CacheMiss("tools_changed", TOKENS)
    assert missed(chain(*FIRST), chain(*FIRST, tools=[])) == CacheMiss("tools_changed", TOKENS)


def test_changed_system_prompt_is_reported_before_the_messages() -> None:
    after = chain(user("else"), system="t")
    found = missed(chain(*FIRST), after)
    assert found is not None
    assert found.type == "system_changed"


def test_setting_of_the_system_prompt_is_reported_as_the_system_prompt() -> None:
    form = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    found = missed(
        chain(*FIRST, system=""), chain(*SECOND, system="", output_config={"format": form})
    )
    assert found is not None
    assert found.type == "system_changed"


@pytest.mark.parametrize(
    "parameter",
    [
        {"tool_choice": {"type": "any"}},
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"effort": "low"}},
    ],
    ids=str,
)
def test_other_parameters_have_no_diagnosis(parameter: dict[str, Any]) -> None:
    assert missed(chain(*SECOND), chain(*SECOND, **parameter)) == CacheMiss("unavailable")
    # What stands before the messages is told first.
    found = missed(chain(*SECOND), chain(*SECOND, system="t", **parameter))
    assert found is not None
    assert found.type == "system_changed"


def test_first_image_is_reported_as_all_of_the_messages() -> None:
    later = [*SECOND, assistant("d"), user([image_block()])]
    found = missed(chain(*SECOND), chain(*later))
    assert found is not None
    assert found.type == "messages_changed"
    assert found.missed_tokens == pytest.approx(100_000, rel=0.01)


@pytest.mark.parametrize(("changed", "tokens"), [(0, 100_000), (1, 60_000), (2, 30_000)])
def test_estimate_counts_the_earlier_tokens_from_the_first_changed_block_on(
    changed: int, tokens: int
) -> None:
    later = [dict(message) for message in SECOND]
    later[changed] |= {"content": "d"}
    found = missed(chain(*SECOND), chain(*later))
    assert found is not None
    assert found.type == "messages_changed"
    assert found.missed_tokens == pytest.approx(tokens, rel=0.01)


def test_system_prompt_leaves_the_tools_out_of_the_estimate() -> None:
    long = [tool("f", description="d" * 100_000)]
    found = missed(chain(*FIRST, tools=long), chain(*FIRST, tools=long, system="t"), tokens=160_000)
    assert found is not None
    assert found.missed_tokens == pytest.approx(60_000, rel=0.01)


def test_fingerprint_of_a_long_prompt_tells_its_first_blocks_apart() -> None:
    blocks = [text(f"{number}") for number in range(MOST_BLOCKS)]
    whole, longer = chain(user(blocks)), chain(user([*blocks, text("more")]))
    assert fingerprint_of(whole, 1).whole
    kept = fingerprint_of(longer, 1)
    assert not kept.whole
    assert len(kept.messages) == MOST_BLOCKS
    assert first_miss(kept, longer) == CacheMiss("unavailable")
    assert first_miss(kept, whole) is None
    changed = chain(user([text("new"), *blocks]))
    assert first_miss(kept, changed) == CacheMiss("messages_changed", 0)


def test_no_text_is_in_a_fingerprint() -> None:
    kept = fingerprint_of(chain(*SECOND), 1)
    assert {len(digest) for digest in (kept.model, kept.tools, kept.system, *kept.messages)} == {8}
