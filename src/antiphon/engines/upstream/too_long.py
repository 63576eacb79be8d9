"""Recognizes a prompt that is too long for an upstream, in the words of many servers.

The API has one sentence for it, which clients look for: they shorten the conversation and ask
again. Each expression looks a fixed number of characters ahead, and texts are cut before.
"""

import re
from typing import Any, Final

SENTENCE: Final = "prompt is too long"
WITHOUT_SIZES: Final = "capability_rejected: prompt_too_long"
"""What says the same to a client that knows the sentence by its sizes."""
LONGEST: Final = 2000
CODES: Final = frozenset(
    {"context_length_exceeded", "context_window_exceeded", "exceed_context_size_error"}
)

_NUMBER: Final = r"(?<![\w.\-/])(\d{1,3}(?:,\d{3})+|\d{1,10})(?![\w/])"
_NUMBERS: Final = re.compile(_NUMBER)
_NO_PROMPT: Final = re.compile(
    r"per (?:minute|day|hour|second)|\b[TR]P[MD]\b|rate limit", re.IGNORECASE
)
_OWN: Final = re.compile(r"input length and `max_tokens` exceed context limit: \d+ \+ \d+ > \d+")
_SURE: Final = re.compile(
    r"prompt (?:is )?too long|reduce the length of|context.?window.?exceeded|kv size|"
    r"(?:exceed|longer than|larger than|too (?:long|large|big)|fit into|overflow|only|maximum)"
    r".{0,80}context.(?:length|size|window|limit)|"
    r"context.(?:length|size|window|limit).{0,80}(?:exceed|requested|resulted|request has|passed)",
    re.IGNORECASE | re.DOTALL,
)
_LIKELY: Final = re.compile(
    r"(?:tokens?|length)\b.{0,80}(?:exceed|less than|must be <=|longer than|too large)|"
    r"(?:exceed|maximum|less than|longer than|too many).{0,80}(?:tokens?|length)\b",
    re.IGNORECASE | re.DOTALL,
)
_PROMPT: Final = re.compile(
    r"\b(?:inputs?(?! validation)|prompt|context|messages)\b", re.IGNORECASE
)
_MAXIMA: Final = (
    re.compile(
        r"(?:context (?:length|size|window|limit)|"
        r"maximum (?:prompt |input |allowed |model )?length|"
        r"(?:max|maximum) (?:number of )?(?:input )?tokens(?: allowed)?|limit|kv size|less than|"
        r"must be <=|cannot exceed)\D{0,24}?" + _NUMBER,
        re.IGNORECASE,
    ),
    re.compile(_NUMBER + r"(?: tokens)? max", re.IGNORECASE),
)
_SUMS: Final = (
    re.compile(_NUMBER + r" input tokens and requested " + _NUMBER + " output tokens"),
    re.compile(_NUMBER + r" `inputs` tokens and " + _NUMBER + " `max_new_tokens`"),
    re.compile(r"too large: " + _NUMBER + r".{0,120} has " + _NUMBER + " input tokens", re.DOTALL),
)
"""The prompt and the answer that was asked for, which together do not fit."""


def too_long(message: str | None, body: Any = None) -> str | None:
    """Return the API's sentence for a prompt that does not fit, `None` for any other error.

    `body` is the error as an object, if there is one: some servers have codes and numbers in it.
    """
    text = (message or "")[:LONGEST]
    if own := _OWN.search(text):
        return own[0]
    error = _error(body)
    known = any(
        code in CODES for key in ("code", "type") if isinstance(code := error.get(key), str)
    )
    about = known or _NO_PROMPT.search(text) is None
    sure = about and (known or _SURE.search(text) is not None)
    likely = about and _LIKELY.search(text) and _PROMPT.search(text)
    sizes = (_fields(error) or _sizes(text)) if sure or likely else None
    if sizes is not None:
        return f"{SENTENCE}: {sizes[0]} tokens > {sizes[1]} maximum"
    return _without_sizes(text) if sure else None


def _without_sizes(text: str) -> str:
    """Return the sentence with what clients look for where a server tells no sizes."""
    if text.lower().startswith(SENTENCE):
        said = SENTENCE + text[len(SENTENCE) :]
    else:
        said = f"{SENTENCE}: {text}" if text else SENTENCE
    return f"{said} ({WITHOUT_SIZES})"


def _error(body: Any) -> dict[str, Any]:
    inner = body.get("error") if isinstance(body, dict) else None
    found = inner if isinstance(inner, dict) else body
    return found if isinstance(found, dict) else {}


def _fields(error: dict[str, Any]) -> tuple[int, int] | None:
    """Return the sizes that llama.cpp has beside its message."""
    tokens, most = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(tokens, int) and isinstance(most, int) and tokens > most > 0:
        return tokens, most
    return None


def _sizes(text: str) -> tuple[int, int] | None:
    """Return the tokens that were sent, or asked for, and the most that fit."""
    found = next((match for pattern in _MAXIMA if (match := pattern.search(text))), None)
    if found is None:
        return None
    most = _int(found[1])
    sums = [_int(one[1]) + _int(one[2]) for pattern in _SUMS for one in pattern.finditer(text)]
    tokens = max(sums or (_int(one) for one in _NUMBERS.findall(text)), default=0)
    return (tokens, most) if tokens > most else None


def _int(number: str) -> int:
    return int(number.replace(",", ""))
