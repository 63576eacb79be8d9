"""The JSON of SGLang, as far as Antiphon uses it."""

from typing import Any

import msgspec


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an answer is sampled. An absent parameter is left to SGLang."""

    max_new_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    ebnf: str | None = None


class GenerateBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a request. `extra_key` is a namespace of the prefix cache."""

    input_ids: list[int]
    sampling_params: Sampling
    stream: bool = False
    extra_key: str | None = None
    priority: int | None = None


class DetokenizeBody(msgspec.Struct, frozen=True):
    model: str
    tokens: list[int]
    skip_special_tokens: bool = False


class Detokenized(msgspec.Struct, frozen=True):
    text: str


class FinishReason(msgspec.Struct, frozen=True):
    """Why an answer ended: `type` is `stop`, `length` or `abort`.

    `matched` is the token, or the text, that ended it. An abort has a message and a status.
    """

    type: str = ""
    matched: Any = None
    message: str | None = None
    status_code: int | None = None


class Meta(msgspec.Struct, frozen=True):
    """What SGLang has counted so far, and why the answer ended if it did."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    finish_reason: FinishReason | None = None


class Generated(msgspec.Struct, frozen=True):
    """An answer, or an event of one. An `error` may come instead, also in a stream.

    `output_ids` are all tokens so far, or those that are new: as the server was started.
    """

    output_ids: list[int] | None = None
    meta_info: Meta | None = None
    error: Any = None

    @property
    def cached(self) -> int | None:
        return None if self.meta_info is None else self.meta_info.cached_tokens


class ModelInfo(msgspec.Struct, frozen=True):
    """What the server was started with: folders, or names on the hub."""

    model_path: str | None = None
    tokenizer_path: str | None = None


class ServerInfo(msgspec.Struct, frozen=True):
    """How the server was started. `max_req_input_len` is one more than its longest prompt.

    With `incremental_streaming_output` an event has the tokens that are new, and else all of them.
    """

    version: str | None = None
    max_req_input_len: int | None = None
    enable_priority_scheduling: bool = False
    schedule_low_priority_values_first: bool = False
    incremental_streaming_output: bool = True
