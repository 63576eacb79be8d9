"""Completes JSON that was cut off, with the certain part of it."""

import re

# A whole value or key, a piece of punctuation, or the beginning of a token that was cut.
_TOKEN = re.compile(
    r"""\s*(?:(?P<open>[{\[])|(?P<close>[}\]])|(?P<comma>,)|(?P<colon>:)|"""
    r"""(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s{}\[\],:"]+)|(?P<cut>.))""",
    re.DOTALL,
)


def completed(text: str) -> str:
    """Close the open objects and lists of JSON that was cut, and leave out incomplete values.

    A whole text is returned unchanged. A number at the very end may have been cut, so it is left
    out; a text that never was JSON gives `{}`.
    """
    closers: list[str] = []
    safe, before = 0, None
    for token in _TOKEN.finditer(text):
        kind, end = token.lastgroup, token.end()
        before, previous = kind, before
        if kind == "cut":
            break
        if kind == "open":
            closers.append("}" if token["open"] == "{" else "]")
        elif kind == "close":
            if closers[-1:] != [token["close"]]:
                break
            closers.pop()
        elif kind in {"comma", "colon"} or (kind == "word" and end == len(text)):
            continue
        elif kind == "string" and closers[-1:] == ["}"] and previous in {"open", "comma"}:
            continue  # a key is left out without its value
        # Only brackets change the closers, and each of them is safe.
        safe = end
        if not closers:
            break
    return text[:safe] + "".join(reversed(closers)) or "{}"
