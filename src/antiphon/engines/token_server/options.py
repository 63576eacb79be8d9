"""The options of every engine on a server of token arrays."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from antiphon.engines.token.options import TemplateOptions
from antiphon.engines.upstream.http import Patience

Seconds: TypeAlias = Annotated[float, Meta(gt=0)]


class TokenServerOptions(TemplateOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The address of a server, and the files of the model's tokenizer.

    - `url`: the server, or a router in front of several, with or without `/v1`.
    - `model`: the model's name there; without it the only one that the server lists.
    - `tokenizer`: a folder with `tokenizer.json` and `tokenizer_config.json`, or a repository of
      the hub (`owner/name`, `owner/name@revision`); without it what the server was started with.
    - `context_tokens`: the largest sum of prompt and answer; without it the server is asked.
    - `priority`: whether requests of batches are sent as less urgent, which only a server that was
      started to schedule by priorities heeds; `None` finds out.
    - `cache_block_tokens`: the tokens of a block of the server's prefix cache; 0 claims nothing of
      it, `None` finds out.
    - `first_token_timeout_s`: how long the first token may take, `silence_timeout_s` each later
      one.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^/\s]")]
    model: str | None = None
    tokenizer: Annotated[str, Meta(min_length=1)] | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    context_tokens: Annotated[int, Meta(ge=1)] | None = None
    priority: bool | None = None
    cache_block_tokens: Annotated[int, Meta(ge=0)] | None = None
    connect_timeout_s: Seconds = 5.0
    first_token_timeout_s: Seconds = 600.0
    silence_timeout_s: Seconds = 60.0

    def __repr__(self) -> str:
        # `api_key`, `headers` and URLs may contain keys.
        return f"{type(self).__name__}(model={self.model!r}, …)"

    @property
    def patience(self) -> Patience:
        return Patience(self.connect_timeout_s, self.first_token_timeout_s, self.silence_timeout_s)

    @property
    def authorized(self) -> dict[str, str]:
        """The headers of every request."""
        key = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        return {**key, **self.headers}

    @property
    def waits(self) -> bool:
        """Whether the engine may be opened while the server is away: nothing has to be asked."""
        return None not in (self.model, self.context_tokens, self.tokenizer)
