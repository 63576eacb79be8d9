import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.attribution import (
    HEADER,
    LONGEST,
    constant_attribution,
    with_constant_attribution,
)
from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import ContentParam, ImageParam, TextParam
from support.images import image_param

FIRST = f"{HEADER} cc_version=2.1.330.003; cc_entrypoint=cli; cch=1a2b3;"
CONSTANT = f"{HEADER} cc_version=2.1.330.003; cc_entrypoint=cli; cch=00000;"
USER = Turn("user", (TextParam(text=FIRST),))

words = st.text(st.sampled_from("ch=; \t0aX"), max_size=12)
digits = st.sampled_from("0123456789abcdef")
pairs = st.integers(1, 8).flatmap(
    lambda size: st.tuples(*[st.text(digits, min_size=size, max_size=size)] * 2)
)
fields = st.text(st.sampled_from("hx=; \t0aX"), max_size=12)


def system(*texts: str) -> Prompt:
    return Prompt((Turn("system", tuple(TextParam(text=text) for text in texts)), USER), 1)


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        (FIRST, CONSTANT),
        (f"{HEADER} cch=1a2b3; cc_version=2;", f"{HEADER} cch=00000; cc_version=2;"),
        (f"{HEADER}cch=1a2b3", f"{HEADER}cch=00000"),
        (f"{HEADER} cch = cch ;", f"{HEADER} cch = 000 ;"),
        (f"{HEADER} a=b; cch=ab=c;", f"{HEADER} a=b; cch=0000;"),
        (FIRST.ljust(LONGEST), CONSTANT.ljust(LONGEST)),
        (f"{FIRST.ljust(LONGEST)}\nYou.", f"{CONSTANT.ljust(LONGEST)}\nYou."),
        (f"{FIRST}\nYou are kind; cch=1a2b3;", f"{CONSTANT}\nYou are kind; cch=1a2b3;"),
    ],
)
def test_value_of_the_header_becomes_constant(text: str, constant: str) -> None:
    assert constant_attribution(text) == constant
    changed = with_constant_attribution(system(text, "You are kind. cch=1a2b3;"))
    assert changed.turns == system(constant, "You are kind. cch=1a2b3;").turns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cch=1a2b3;",
        f" {FIRST}",
        FIRST.upper(),
        f"You are kind.\n{FIRST}",
        f"{HEADER} cc_version=2.1.330.003; cc_entrypoint=cli;",
        f"{HEADER} cch=;",
        f"{HEADER} cch;",
        f"{HEADER} xcch=1a2b3; cch2=1a2b3; a=cch=1a2b3",
        f"{HEADER} cc_version=2;\ncch=1a2b3;",
        FIRST + " " * (LONGEST - len(FIRST)) + "x",
        FIRST + ";" * LONGEST + "\n",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert constant_attribution(text) == text
    prompt = system(text)
    assert with_constant_attribution(prompt) is prompt


@pytest.mark.parametrize(
    "turns",
    [
        (USER,),
        (USER, Turn("assistant", (TextParam(text="Well."),)), USER),
        (USER, Turn("system", (TextParam(text=FIRST),))),
        (Turn("system", (TextParam(text="You are kind."), TextParam(text=FIRST))), USER),
    ],
)
def test_header_in_another_place_stays_as_it_is(turns: tuple[Turn, ...]) -> None:
    prompt = Prompt(turns, 1)
    assert with_constant_attribution(prompt) is prompt


def test_block_that_is_no_text_stays_as_it_is() -> None:
    image: ImageParam = image_param()
    prompt = Prompt((Turn("system", (image, TextParam(text=FIRST))), USER), 1)
    assert with_constant_attribution(prompt) is prompt


def test_rest_of_the_prompt_stays_as_it_is() -> None:
    blocks: tuple[ContentParam, ...] = (
        TextParam(text=FIRST, cache_control=CacheControlParam(type="ephemeral")),
        TextParam(text=FIRST),
    )
    prompt = Prompt((Turn("system", blocks), USER), 7, breakpoints=(Breakpoint(0, (0,)),))
    changed = with_constant_attribution(prompt)
    assert changed.turns[0].content == (replace(blocks[0], text=CONSTANT), blocks[1])
    assert changed.turns[1:] == prompt.turns[1:]
    assert (changed.max_tokens, changed.breakpoints) == (7, prompt.breakpoints)


@given(fields, pairs, words)
def test_headers_that_differ_in_their_value_become_the_same(
    before: str, values: tuple[str, str], behind: str
) -> None:
    one, other = (f"{HEADER} {before}; cch={value};{behind}" for value in values)
    assert constant_attribution(one) == constant_attribution(other)


@given(st.text() | words.map(lambda text: HEADER + text), words)
def test_text_keeps_its_length_and_all_but_zeros(text: str, rest: str) -> None:
    changed = constant_attribution(f"{text}\n{rest}")
    assert len(changed) == len(text) + 1 + len(rest)
    assert changed.endswith(rest)
    assert all(new in (old, "0") for new, old in zip(changed, f"{text}\n{rest}", strict=True))
    assert constant_attribution(changed) == changed
