"""What the base URL of a client should be, guessed from a path that there is none of."""

from collections.abc import Callable

from antiphon.wire.errors import shortened

HINT_HEADER = "x-antiphon-hint"
# Longer paths get the general hint, so that a guess is a few comparisons of short texts.
_LONGEST_PATH = 256
_VERSION = "v1"
# The paths of other APIs, by their first part behind `/v1`.
_OPENAI = frozenset(
    {
        "assistants",
        "audio",
        "batches",
        "chat",
        "completions",
        "conversations",
        "embeddings",
        "engines",
        "fine_tuning",
        "images",
        "moderations",
        "realtime",
        "responses",
        "threads",
        "uploads",
        "vector_stores",
    }
)
_OLLAMA = frozenset(
    {
        "blobs",
        "chat",
        "copy",
        "create",
        "delete",
        "embed",
        "embeddings",
        "generate",
        "ps",
        "pull",
        "push",
        "show",
        "tags",
        "version",
    }
)
# The paths of the Claude API that are not served, by their beginning behind `/v1`.
NOT_SERVED = {
    "complete": "Text Completions",
    "skills": "Skills",
    "agents": "Agents",
    "sessions": "Sessions",
    "environments": "Environments",
    "deployments": "Deployments",
    "vaults": "Vaults",
    "memory_stores": "Memory stores",
    "user_profiles": "User profiles",
}


def base_url_hint(path: str, base: str, is_served: Callable[[str], bool]) -> str:
    """Return what to change so that a client finds its path.

    `base` is the server as the client has named it, and `is_served` says whether there is a path,
    for any method. It is asked at most five times. The hint is printable ASCII.
    """
    return header_safe(_hint(path, base, is_served))


def _hint(path: str, base: str, is_served: Callable[[str], bool]) -> str:
    if len(path) > _LONGEST_PATH:
        return _general(base)
    parts = [part for part in path.split("/") if part]
    plain = f"/{'/'.join(parts)}"
    if is_served(plain):
        return (
            f"The path has a slash too many: the base URL should be {base}, and no path ends with "
            "a slash."
        )
    if is_served(plain.lower()):
        return f"Paths are in lower case: the base URL should be {base}."
    if _VERSION in parts:
        behind = len(parts) - parts[::-1].index(_VERSION)
        # A second or another beginning of the path comes from the base URL.
        if behind > 1 and is_served(f"/{_VERSION}/{'/'.join(parts[behind:])}"):
            return f"The base URL should be {base}, without a path: the client adds /v1 itself."
        parts = parts[behind:]
    elif found := _without_version(parts, is_served):
        return f"The base URL should be {base}/v1: this client adds {found} to it, without /v1."
    return _foreign(parts, base) or _general(base)


def _without_version(parts: list[str], is_served: Callable[[str], bool]) -> str | None:
    """Return the end of a path that would be one behind `/v1`."""
    for head in ("messages", "models", "organizations"):
        if head in parts:
            found = f"/{'/'.join(parts[parts.index(head) :])}"
            if is_served(f"/{_VERSION}{found}"):
                return found
    return None


def _foreign(parts: list[str], base: str) -> str | None:
    """Return the hint for a path of another API, or of a part of this one that is not served."""
    for beginning, name in NOT_SERVED.items():
        if parts[: beginning.count("/") + 1] == beginning.split("/"):
            return f"Antiphon does not serve {name}; the base URL is {base}."
    if parts[:1] == ["api"] and len(parts) > 1 and parts[1] in _OLLAMA:
        return _other_api("Ollama", base)
    if parts and parts[0] in _OPENAI:
        return _other_api("OpenAI", base)
    return None


def _other_api(name: str, base: str) -> str:
    return (
        f"This is a path of the {name} API, and Antiphon serves the Claude API: use a client of "
        f"that, with the base URL {base}."
    )


def _general(base: str) -> str:
    return (
        f"There is no such path. The base URL of a client of the Claude API should be {base}, "
        f"without a path, or {base}/v1 if the client does not add /v1 itself."
    )


def base_url(host: str | None, scheme: str) -> str:
    """Return the server as a client has named it in its `Host` header."""
    return f"{scheme}://{shortened(host) if host else 'HOST:PORT'}"


def header_safe(text: str) -> str:
    """Return a text as printable ASCII: one line, that is the value of a header."""
    text = text.replace("…", "...")
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
