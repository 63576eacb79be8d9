"""What the official SDK has under `types.beta`: `BetaMessage` is the one `Message` there is here.

A type checker sees `Any`; the names without `Beta` are exact.
"""

from typing import Any

from antiphon import types

PREFIX = "Beta"


def __getattr__(name: str) -> Any:
    plain = name.removeprefix(PREFIX)
    if plain == name or plain not in types.__all__:
        raise AttributeError(f"module 'antiphon.types.beta' has no attribute {name!r}")
    return getattr(types, plain)


def __dir__() -> list[str]:
    return [PREFIX + name for name in types.__all__]
