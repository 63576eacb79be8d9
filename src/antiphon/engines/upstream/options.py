"""The common part of upstream engines: options, the served model, an estimate."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.core.blocks import images_of, replace_images
from antiphon.core.images import usual_tokens
from antiphon.engines.base import Capabilities, EngineError, EngineStartError, Prompt
from antiphon.engines.upstream.http import Patience, Upstream
from antiphon.wire.content import TextParam

CONTEXT_BY_DEFAULT: Final = 8192
CHARACTERS_PER_TOKEN: Final = 4
TURN_TOKENS: Final = 4

Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
TokenCount: TypeAlias = Annotated[int, Meta(ge=1)]


class UpstreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The address and the capabilities of a server; see docs/reference/settings.md.

    If `model` or `context_tokens` is `None`, the server is asked. The capabilities are promises of
    the operator: a request for more is refused before it is sent.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^/\s]")]
    model: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    context_tokens: TokenCount | None = None
    max_output_tokens: TokenCount | None = None
    count: Literal["upstream", "estimate"] = "upstream"
    connect_timeout_s: Seconds = 5.0
    first_token_timeout_s: Seconds = 600.0
    silence_timeout_s: Seconds = 60.0
    tools: bool = True
    forced_tools: bool = False
    structured_outputs: bool = False
    thinking: bool = False
    images: bool = False

    def __repr__(self) -> str:
        # `api_key`, `headers` and URLs may contain keys.
        return f"{type(self).__name__}(model={self.model!r}, …)"

    @property
    def patience(self) -> Patience:
        return Patience(self.connect_timeout_s, self.first_token_timeout_s, self.silence_timeout_s)


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model as servers list it; each server has its own name for the size of the context.

    `owned_by` is the name of the server's software in vLLM and SGLang.
    """

    class Meta(msgspec.Struct, frozen=True):
        """The fields of llama-server: the context of a slot, and the trained context."""

        n_ctx: int | None = None
        n_ctx_train: int | None = None

    id: str
    owned_by: Any = None
    max_model_len: int | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    meta: Meta | None = None

    @property
    def context_tokens(self) -> int | None:
        listed = self.max_model_len or self.max_input_tokens
        return listed or (self.meta and (self.meta.n_ctx or self.meta.n_ctx_train)) or None


class _Listing(msgspec.Struct, frozen=True):
    data: list[ModelCard]


async def find_card(name: str, options: UpstreamOptions, upstream: Upstream) -> ModelCard:
    """Return the upstream's model; ask the server only if the options leave something open."""
    if options.model is not None and options.context_tokens is not None:
        return ModelCard(id=options.model)
    try:
        cards = (await upstream.ask("GET", "/v1/models", None, _Listing)).data
    except EngineError as error:
        hint = "set `model` and `context_tokens` to start without asking"
        raise EngineStartError(f"Model `{name}`: {error} ({hint}).") from error
    found = [card for card in cards if options.model in {None, card.id}]
    if options.model is not None and not found:
        return ModelCard(id=options.model)
    if len(found) != 1:
        known = ", ".join(card.id for card in cards) or "none"
        raise EngineStartError(f"Model `{name}`: `model` must name one of the upstream's: {known}.")
    return found[0]


def capabilities_of(options: UpstreamOptions, card: ModelCard) -> Capabilities:
    """Return the capabilities of a model, by its options and its server."""
    return Capabilities(
        context_tokens=options.context_tokens or card.context_tokens or CONTEXT_BY_DEFAULT,
        max_output_tokens=options.max_output_tokens,
        tools=options.tools,
        forced_tools=options.tools and options.forced_tools,
        structured_outputs=options.structured_outputs,
        thinking=options.thinking,
        images=options.images,
    )


def estimate(prompt: Prompt) -> int:
    """Estimate a prompt's tokens: a quarter of its characters, some a turn, and its images."""
    characters = sum(map(len, _texts(prompt)))
    images = sum(map(usual_tokens, images_of(prompt)))
    text_tokens = -(-characters // CHARACTERS_PER_TOKEN)
    return text_tokens + TURN_TOKENS * len(prompt.turns) + images


def _texts(prompt: Prompt) -> Iterator[str]:
    for turn in replace_images(prompt.turns, lambda _: []):
        yield from turn.texts
        for block in turn.content:
            if not isinstance(block, TextParam):
                yield msgspec.json.encode(block).decode()
    for tool in prompt.tools:
        yield msgspec.json.encode(tool).decode()
