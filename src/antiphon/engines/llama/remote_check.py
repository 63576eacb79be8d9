"""Tries at the start what a server at a `url` can do: older releases and forks lack some of it.

Without this, what they lack would show in the middle of answers, or in bills.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind, EngineStartError
from antiphon.engines.llama.client import (
    ENDS,
    LlamaClient,
    SlotUse,
    completion_body,
    decode,
    refused,
)
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.server_types import TokenizeAnswer
from antiphon.engines.token.machine import CompletionRequest
from antiphon.logs import EventLog

TEXT: Final = "Is what Antiphon needs of a server here?"
ANSWER: Final = "yes"
MOST_TOKENS: Final = 8
PATIENCE_S: Final = 10.0
"""How long the answer to the text may take. A server whose slots are all busy takes longer."""
PAGE: Final = "docs/how-to/put-antiphon-in-front-of-another-server.md"

_OK: Final = 200
_NO_ROUTE: Final = frozenset({404, 405, 501})
_BUILD: Final = re.compile(r"[\w.+-]{1,60}")

JsonObject: TypeAlias = dict[str, Any]


async def check_server(
    client: LlamaClient, model: str, options: LlamaOptions, patience_s: float = PATIENCE_S
) -> None:
    """Ask the server for all that Antiphon needs of it.

    Raises `EngineStartError`, which says what it lacks and what to do, and `EngineError` for a
    server that is away or refuses.
    """
    told = await _told(client, "GET", "/props")
    props = None if told is None else decode(told, JsonObject)
    lacking = missing_props(props, with_template=options.chat_template is None)
    tokens = await _tokens(client, TEXT, control=False)
    if tokens is None:
        lacking.append("the route /tokenize")
    else:
        if not await _tells_control_tokens(client, props or {}):
            lacking.append("text without control tokens (`parse_special` of /tokenize)")
        try:
            async with asyncio.timeout(patience_s):
                lacking += await _missing_in_completion(client, tokens)
        except TimeoutError:
            EventLog(__name__).warning(
                "what a server can do was not tried: it is busy", model=model, waited_s=patience_s
            )
    if lacking:
        raise EngineStartError(_message(model, options, props or {}, lacking))


def missing_props(props: JsonObject | None, *, with_template: bool) -> list[str]:
    """Return what `/props` do not tell; `None` is a server without them."""
    if props is None:
        return ["the route /props"]
    lacking: list[str] = []
    defaults = props.get("default_generation_settings")
    if not isinstance(defaults, dict) or not isinstance(defaults.get("n_ctx"), int):
        lacking.append("the size of its context (`n_ctx` in /props)")
    if with_template and not isinstance(props.get("chat_template"), str):
        lacking.append("the chat template of its model (`chat_template` in /props)")
    return lacking


def missing_events(events: Sequence[JsonObject]) -> list[str]:
    """Return what the stream of an answer lacks, which a grammar holds to `ANSWER`."""
    if not events:
        return ["streams (`stream` of /completion)"]
    written = [event for event in events if event.get("content")]
    lacking: list[str] = []
    if "".join(str(event["content"]) for event in written) != ANSWER:
        lacking.append("grammars (`grammar`)")
    if not all(event.get("tokens") for event in written if not event.get("stop")):
        lacking.append("the tokens of an answer (`return_tokens`)")
    if not all(isinstance(event.get("tokens_predicted"), int) for event in written):
        lacking.append("their number (`tokens_predicted`)")
    if not any(_tells_progress(event) for event in events):
        lacking.append("how far a prompt is read, and from where (`return_progress`)")
    if events[-1].get("stop_type") not in ENDS:
        lacking.append("why an answer ends (`stop_type`)")
    return lacking


def _tells_progress(event: JsonObject) -> bool:
    progress = event.get("prompt_progress")
    return isinstance(progress, dict) and {"cache", "processed"} <= progress.keys()


async def _missing_in_completion(client: LlamaClient, tokens: list[int]) -> list[str]:
    request = CompletionRequest(
        tokens=tokens,
        max_tokens=MOST_TOKENS,
        temperature=0.0,
        grammar=f'root ::= "{ANSWER}"',
    )
    # It takes any slot, and nothing from what the slot holds.
    body = completion_body(request, tokens, SlotUse(-1, fresh=True))
    answer = await _told(client, "POST", "/completion", body)
    if answer is None:
        return ["the route /completion"]
    lines = (line for line in answer.splitlines() if line.startswith(b"data: {"))
    events = [decode(line[6:], JsonObject) for line in lines]
    if events and "error" in events[-1]:
        raise EngineError(EngineErrorKind.FAILED, f"llama.cpp gave up: {events[-1]['error']}")
    return missing_events(events)


async def _tells_control_tokens(client: LlamaClient, props: JsonObject) -> bool:
    """Return whether a control token in a plain text is text: a caller must not write others.

    A token that a model's file calls the user's own is read in every text, so one is enough.
    """
    texts = [text for name in ("bos_token", "eos_token") if (text := props.get(name))]
    for text in texts:
        if await _tokens(client, text, control=True) != await _tokens(client, text, control=False):
            return True
    return not texts


async def _tokens(client: LlamaClient, text: str, *, control: bool) -> list[int] | None:
    asked = {"content": text, "parse_special": control, "add_special": False}
    answer = await _told(client, "POST", "/tokenize", msgspec.json.encode(asked))
    return None if answer is None else decode(answer, TokenizeAnswer).tokens


async def _told(
    client: LlamaClient, method: str, path: str, body: bytes | None = None
) -> bytes | None:
    """Return an answer; `None` for a route that the server does not have."""
    status, answer = await client.look(method, path, body)
    if status in _NO_ROUTE:
        return None
    if status != _OK:
        raise refused(status, answer)
    return answer


def _message(model: str, options: LlamaOptions, props: JsonObject, lacking: Sequence[str]) -> str:
    # An address may have a password in it.
    address = urlsplit(options.url or "").netloc.rpartition("@")[2]
    told = str(props.get("build_info") or "")
    build = f" ({told})" if _BUILD.fullmatch(told) else ""
    return (
        f"Model `{model}`: the server at {address}{build} lacks {', '.join(lacking)}. A "
        "`llama-server` of llama.cpp from 2026 on has all of it; for another server use "
        f'`engine = "chat_completions"` ({PAGE}).'
    )
