"""The JSON of llama.cpp's server, as far as Antiphon uses it."""

from typing import Annotated, Any, TypeAlias

import msgspec

TokenId: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class MediaPrompt(msgspec.Struct, frozen=True):
    """A prompt with images; in its text the marker of `Props` stands for each image."""

    prompt_string: str
    multimodal_data: tuple[str, ...]


class CompletionBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a request. An absent parameter is left to llama.cpp."""

    prompt: list[int] | MediaPrompt
    n_predict: int
    temperature: float
    top_p: float | None = None
    top_k: int | None = None
    grammar: str | None = None
    stop: tuple[str, ...] = ()
    preserved_tokens: tuple[str, ...] = ()
    stream: bool = False
    cache_prompt: bool = True
    id_slot: int = -1
    return_tokens: bool = False
    return_progress: bool = False
    response_fields: tuple[str, ...] = ()


class PromptProgress(msgspec.Struct, frozen=True):
    """How far a prompt is read, in tokens: `cache` of those `processed` were not read again.

    The first report comes before anything is read.
    """

    cache: int = 0
    processed: int = 0
    time_ms: float = 0.0


class Timings(msgspec.Struct, frozen=True):
    """What llama.cpp has measured of a completion, in tokens and milliseconds.

    `prompt_n` are the tokens of the prompt that it has read, without those that it reused.
    """

    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class StreamedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream. `tokens_predicted` counts from the start of the answer.

    llama.cpp holds back an unfinished character, so that an event may stand for several tokens;
    `tokens` has the last of them. A report of the prompt's progress has this form, too. The last
    event has the `timings`.
    """

    content: str = ""
    tokens: tuple[int, ...] = ()
    tokens_predicted: int = 0
    prompt_progress: PromptProgress | None = None
    timings: Timings | None = None
    stop: bool = False
    stop_type: str = ""
    error: dict[str, Any] | None = None


class Props(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a model, as llama.cpp states them.

    A model may have a template of its own for conversations with tools.
    """

    class Defaults(msgspec.Struct, frozen=True):
        """The size of a slot, in tokens."""

        n_ctx: int

    class Modalities(msgspec.Struct, frozen=True):
        """The inputs of the model besides text; none, if llama.cpp states none."""

        vision: bool = False

    default_generation_settings: Defaults
    total_slots: int = 1
    chat_template: str = ""
    chat_template_tool_use: str = ""
    bos_token: str = ""
    eos_token: str = ""
    modalities: Modalities = Modalities()
    media_marker: str = ""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot of llama.cpp: it computes one answer at a time."""

    id: int
    is_processing: bool


class SavedSlot(msgspec.Struct, frozen=True):
    """What llama.cpp has written of a slot: tokens, and bytes that it meant to write."""

    n_saved: int
    n_written: int


class RestoredSlot(msgspec.Struct, frozen=True):
    """What a slot holds after a restore: tokens, and the bytes of the file that were of use."""

    n_restored: int
    n_read: int


class ErasedSlot(msgspec.Struct, frozen=True):
    n_erased: int


class TokenizeAnswer(msgspec.Struct, frozen=True):
    tokens: list[TokenId]


class DetokenizeAnswer(msgspec.Struct, frozen=True):
    content: str


class EvaluatedAnswer(msgspec.Struct, frozen=True):
    tokens_evaluated: int


class ErrorBody(msgspec.Struct, frozen=True):
    class Error(msgspec.Struct, frozen=True):
        """The message, and for a prompt that is too long its tokens and the context's."""

        message: str = ""
        n_prompt_tokens: int | None = None
        n_ctx: int | None = None

    error: Error = Error()
