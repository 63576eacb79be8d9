"""Answers about the models of a server: their engines, how they do, and what they take.

The API has none of these: all shapes are ours.
"""

from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from antiphon.wire.base import AnswerStruct

EngineStatus: TypeAlias = Literal["loading", "ready", "restarting", "left_out"]
ModelStatus: TypeAlias = EngineStatus | Literal["fetching", "failed"]


class EngineSpeedInfo(AnswerStruct, kw_only=True, frozen=True):
    """Tokens in a second of one request, in the last minutes; `None` without requests.

    Prefill is of prompts, without what was read from the prompt cache; decode is of answers. They
    are `measured_by` the engine itself, or by the server, which counts waits and networks in.
    """

    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    measured_by: Literal["engine", "server"]


class EngineMemoryInfo(AnswerStruct, kw_only=True, frozen=True):
    """Bytes: what the engine's processes use now, and what the model takes by its file.

    `batch_process_bytes` is a process of its own for batches, while there is one. `kv_bytes` is
    reserved for the context of all slots. What is not known is `None`.
    """

    process_bytes: int | None
    batch_process_bytes: int | None
    weights_bytes: int | None
    kv_bytes_per_token: int | None
    kv_bytes: int | None


class EngineFailureInfo(AnswerStruct, kw_only=True, frozen=True):
    """Why an engine ended or did not start. `reason` is `None` for who sees a part of it all."""

    at: str
    reason: str | None


class EngineErrorInfo(AnswerStruct, kw_only=True, frozen=True):
    """The last error of an engine in a request: when, and its kind. Its text is never told."""

    at: str
    kind: str


class EngineInfo(AnswerStruct, kw_only=True, frozen=True):
    """One engine of a model; `number` is its place among several, and in the request log.

    `running` are requests of callers, `waiting` those that wait for one of its `slots`, of which
    `busy_slots` work. `left_out_s` is how long no request goes to one that has failed. `restarts`
    counts since the server began. What an engine does not tell is `None`.
    """

    number: int
    engine: str
    status: EngineStatus
    running: int
    waiting: int | None
    slots: int | None
    busy_slots: int | None
    left_out_s: float | None
    restarts: int | None
    last_failure: EngineFailureInfo | None
    last_error: EngineErrorInfo | None
    memory: EngineMemoryInfo | None
    speed: EngineSpeedInfo | None


class TakeOverInfo(AnswerStruct, kw_only=True, frozen=True):
    """How a model takes over the names of the model `of` that answers until then.

    `fetched_bytes` of `total_bytes`, if that is known, are here. `reason` says why it has failed;
    it is `None` for who sees a part of it all.
    """

    of: str
    fetched_bytes: int
    total_bytes: int | None
    reason: str | None


class ModelStateInfo(AnswerStruct, kw_only=True, frozen=True):
    """A served model as it is now in the process that answers.

    `running` and `waiting` are interactive requests, `batch_running` and `batch_waiting` those of
    batches that this process has in hand. The tokens are `None` while it is loading. A model that
    `takes_over` from another one is `fetching`, `loading` or `failed`, and has no engines yet.
    """

    id: str
    type: Literal["model_state"] = "model_state"
    display_name: str
    status: ModelStatus
    context_tokens: int | None
    max_output_tokens: int | None
    running: int
    waiting: int
    batch_running: int
    batch_waiting: int
    engines: tuple[EngineInfo, ...]
    takes_over: TakeOverInfo | UnsetType = UNSET


class ModelStates(AnswerStruct, kw_only=True, frozen=True):
    """The models of the process that answers, in the order of the settings."""

    data: tuple[ModelStateInfo, ...]
