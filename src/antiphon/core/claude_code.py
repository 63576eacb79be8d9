"""What Claude Code is told in another way: names of models that it keeps, waits that it bears.

It asks a gateway for its models and drops those whose ids hold neither `claude` nor `anthropic`.
Every model therefore has one more name, which is listed for Claude Code alone.
"""

from typing import Final

LONGEST_WAIT_S: Final = 60
"""The longest `retry-after` for which it waits, in seconds; above that it shows the error."""
LOCAL: Final = "claude-local/"
_KEPT: Final = ("claude", "anthropic")
_CLIENTS: Final = ("claude-cli/", "claude-code/")
_UNITS: Final = ((10**9, "GB"), (10**6, "MB"))
_THOUSAND: Final = 1000
_FEW: Final = 10


def claude_name(model_id: str) -> str:
    """Return the id of a model if Claude Code keeps it, else a name of the model that it keeps."""
    return model_id if any(one in model_id for one in _KEPT) else LOCAL + model_id


def is_claude_code(user_agent: str | None) -> bool:
    """Return whether a request is one of Claude Code, by what it calls itself."""
    return user_agent is not None and user_agent.startswith(_CLIENTS)


def bearable_wait(seconds: str, user_agent: str | None) -> str:
    """Return a `retry-after` of a limit; Claude Code is told a minute at most.

    Its next try behind a minute is refused again, with the rest of the wait.
    """
    if is_claude_code(user_agent) and int(seconds) > LONGEST_WAIT_S:
        return str(LONGEST_WAIT_S)
    return seconds


def description(
    *, size: int | None, context: int | None, speed: float | None, is_local: bool
) -> str:
    """Return a model in a line: `17.1 GB, 131k context, 31 tokens/s on this machine`.

    `size` is that of its files in bytes, `context` in tokens, `speed` in tokens of an answer in a
    second. What is not known is left out, and so is the place of a model that is not known to be
    computed here.
    """
    facts = [
        None if size is None else _size(size),
        None if context is None else f"{_thousands(context)} context",
        None if speed is None else f"{_rounded(speed)} tokens/s",
    ]
    line = ", ".join(fact for fact in facts if fact is not None)
    if not is_local:
        return line
    return f"{line} on this machine" if line else "On this machine"


def _size(size: int) -> str:
    unit, name = next((one for one in _UNITS if size >= one[0]), _UNITS[-1])
    return f"{_rounded(size / unit)} {name}"


def _thousands(tokens: int) -> str:
    return f"{tokens // _THOUSAND}k" if tokens >= _THOUSAND else str(tokens)


def _rounded(value: float) -> str:
    """Return a number with three digits at most where it is small, and no others."""
    return f"{value:.1f}".removesuffix(".0") if value < _FEW else f"{value:.0f}"
