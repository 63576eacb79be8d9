"""Servers that say, each in its own words, that a prompt is too long."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineConfig, EngineError, EngineErrorKind, OpenEngine
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from antiphon.engines.upstream.too_long import too_long
from antiphon.wire.sse import Frame
from support.conversation import answer, ask
from support.upstreams import FakeUpstream, fake_upstream

REJECTED = "(capability_rejected: prompt_too_long)"
SAID = "prompt is too long: 9000 tokens > 8192 maximum"

OPENAI = (
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens "
    "(8000 in the messages, 1000 in the completion). Please reduce the length of the messages or "
    "completion."
)
WORDS = """\
This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in
the messages, 1000 in the completion). Please reduce the length of the messages or completion.

This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.

This model's maximum context length is 8192 tokens. However, your messages resulted in 9000
tokens. Please reduce the length of the messages.

This model's maximum context length is 8,192 tokens. However, your messages resulted in 9,000
tokens.

Input tokens exceed the configured limit of 8192 tokens. Your messages resulted in 9000 tokens.
Please reduce the length of the messages.

This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens.
Please reduce the length of the input messages. None

This model's maximum context length is 8192 tokens. However, you requested 100 output tokens and
your prompt contains at least 8900 input tokens, for a total of at least 9000 tokens.

'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is
8192 tokens and your request has 4000 input tokens (5000 > 8192 - 4000).

You passed 8500 input tokens and requested 500 output tokens. However, the model's context length
is only 8192 tokens, resulting in a maximum input length of 7692 tokens. Please reduce the length
of the input prompt. (parameter=input_tokens, value=8500)

The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that
`max_model_len` is no smaller than the number of text tokens.

The prompt (total length 9000) is too long to fit into the model (context length 8192).

request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it

The input (9000 tokens) is longer than the model's context length (8192 tokens).

Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens). Use a shorter input
or enable --allow-auto-truncate.

Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a
total of 9000 tokens: 8000 tokens from the input messages and 1000 tokens for the completion.

Input validation error: `inputs` must have less than 8192 tokens. Given: 9000

Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 8000 `inputs`
tokens and 1000 `max_new_tokens`

litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError:
OpenAIException - This model's maximum context length is 8192 tokens. However, you requested 9000
tokens (8000 in the messages, 1000 in the completion). Please reduce the length of the messages or
completion.

litellm.BadRequestError: AnthropicException - prompt is too long: 9000 tokens > 8192 maximum

prompt is too long: 9000 tokens > 8192 maximum

Prompt contains 9000 tokens and 0 draft tokens, too large for model with 8192 maximum context
length

The input token count (9000) exceeds the maximum number of tokens allowed (8192).

This model's maximum prompt length is 8192 but the request contains 9000 tokens.

This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens
(8000 of text input, 1000 in the output).

prompt token count of 9000 exceeds the limit of 8192

The prompt is too long: 9000, model maximum context length: 8192

Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with
context length of only 8192 tokens, which is not enough.

too many tokens: total number of tokens in the prompt cannot exceed 8192 - received 9000.
"""
"""What OpenAI, vLLM, llama.cpp, SGLang, TGI, LiteLLM and hosted servers say, in this order."""
SENTENCES = [" ".join(one.split()) for one in WORDS.split("\n\n")]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sizes_are_found_in_the_words_of_each_server(sentence: str) -> None:
    assert too_long(sentence) == SAID


@pytest.mark.parametrize(
    "sentence",
    [
        "the input length exceeds the context length",
        "prompt too long; exceeded max context length by 123 tokens",
        "the request exceeds the available context size. try increasing the context size",
        "Your input exceeds the context window of this model. Please adjust your input.",
        "Please reduce the length of the messages or completion.",
        "litellm.ContextWindowExceededError: OpenAIException - too much",
    ],
)
def test_sentence_without_sizes_is_kept_between_the_words_that_clients_look_for(
    sentence: str,
) -> None:
    assert too_long(sentence) == f"prompt is too long: {sentence} {REJECTED}"


def test_capital_letter_is_no_other_sentence() -> None:
    assert too_long("Prompt is too long") == f"prompt is too long {REJECTED}"


def test_sizes_beside_the_message_count() -> None:
    error = {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 8192,
    }
    assert too_long(error["message"], {"error": error}) == SAID
    assert too_long(None, error) == SAID


def test_code_says_it_without_words() -> None:
    said = too_long("", {"error": {"code": "context_length_exceeded"}})
    assert said == f"prompt is too long {REJECTED}"


def test_code_of_another_type_says_nothing() -> None:
    assert too_long("no", {"error": {"code": [[]], "type": {}}}) is None


def test_own_sentence_of_the_api_for_both_together_is_kept() -> None:
    said = "input length and `max_tokens` exceed context limit: 8000 + 1000 > 8192"
    assert too_long(f"{said}, decrease input length or `max_tokens` and try again") == said


@pytest.mark.parametrize(
    "sentence",
    [
        None,
        "",
        "max_tokens must be at least 1",
        "Rate limit reached: Limit 6000 tokens per minute, requested 9000 tokens.",
        "Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000",
        "temperature must be <= 2",
        "Input validation error: `max_new_tokens` must be <= 512. Given: 1024",
        "max_tokens is too large: 5000. This model supports at most 4096 completion tokens.",
        "The image is too large: 9000 pixels",
        "The input of a tool exceeds what is supported",
        "unknown field context_length",
        "This model's context length is 8192.",
    ],
)
def test_other_refusals_are_none_of_it(sentence: str | None) -> None:
    assert too_long(sentence) is None


@given(st.text("promt is lng:89,0>maxcontexlgh()`-", max_size=300), st.integers())
def test_any_sentence_gives_a_sentence_or_none(text: str, number: int) -> None:
    found = too_long(text, {"error": {"n_ctx": number, "n_prompt_tokens": text}})
    assert found is None or "prompt is too long" in found


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.mark.anyio
@pytest.mark.parametrize("opener", [open_chat_completions, open_messages_api])
@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": OPENAI, "type": "invalid_request_error"}},
        {"object": "error", "message": OPENAI, "type": "BadRequestError", "code": 400},
        {"error": OPENAI, "error_type": "validation"},
        {"type": "error", "error": {"type": "invalid_request_error", "message": SAID}},
        {"detail": [{"msg": OPENAI}]},
        OPENAI,
    ],
)
async def test_refusal_of_a_long_prompt_is_the_sentence_of_the_api(
    upstream: FakeUpstream, opener: OpenEngine, status: int, body: Any
) -> None:
    upstream.says(body.encode() if isinstance(body, str) else msgspec.json.encode(body), status)
    options = {"url": upstream.url, "model": "m", "context_tokens": 9000, "count": "estimate"}
    engine = await opener(EngineConfig("m", options=options))
    with pytest.raises(EngineError) as caught:
        await answer(engine, ask("Hi"))
    assert (caught.value.kind, str(caught.value)) == (EngineErrorKind.UNSUPPORTED, SAID)
    await engine.aclose()


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": OPENAI, "code": 400}},
        {"error": {"message": OPENAI, "code": "context_length_exceeded"}},
        {"error": {"message": OPENAI, "code": "500"}},
        {"error": OPENAI},
        {"object": "error", "message": OPENAI, "code": 400},
        {"error": {"message": "no", "type": "exceed_context_size_error", "code": 400,
                   "n_prompt_tokens": 9000, "n_ctx": 8192}},
    ],
)  # fmt: skip
def test_long_prompt_is_recognized_in_a_stream(event: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        ChatAnswer(9, ChunkReader(), limited=False).feed(
            Frame("message", msgspec.json.encode(event).decode())
        )
    assert (caught.value.kind, str(caught.value)) == (EngineErrorKind.UNSUPPORTED, SAID)
